"""The words of ``method``: what OpenGnsys' engine writes, and what is none of its words."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ogagent.errors import InvalidField
from ogagent.model.method import METHODS, Session, Way, way_of

UDPCAST = Session(engine="udpcast", port=9000)


@pytest.mark.parametrize(
    ("method", "options", "session"),
    [
        ("unicast", "", None),
        ("unicast", "whatever", None),
        ("multicast", "", UDPCAST),
        ("udpcast", "9000", UDPCAST),
        ("multicast", "::::20:", UDPCAST),
        (
            "multicast",
            "9002:full-duplex:239.194.17.2:70M:20:120",
            Session(engine="udpcast", port=9002, address="239.194.17.2", speed=70_000_000, wait_s=120),
        ),
        ("multicast", "9000:HALF::1g", Session(engine="udpcast", port=9000, speed=10**9)),
        ("multicast", "9000:broadcast", UDPCAST),
        ("uftp", "", Session(engine="uftp", port=1044)),
        ("uftp", "9000:239.194.17.2:500K", Session(engine="uftp", port=9000, address="239.194.17.2", speed=500_000)),
        ("uftp", "9000:239.194.17.2:70", Session(engine="uftp", port=9000, address="239.194.17.2", speed=70_000_000)),
        ("p2p", "", Session(engine="p2p")),
        ("torrent", "peer:3600", Session(engine="p2p", seconds=3600)),
        ("p2p", "SEEDER", Session(engine="p2p")),
        ("p2p", "leecher:60", Session(engine="p2p", uploads=False)),
    ],
)  # fmt: skip
def test_ways(method: str, options: str, session: Session | None) -> None:
    session = session and replace(session, options=options)
    assert way_of(method, options) == Way(direct=False, session=session)
    direct = session is None or session.engine == "udpcast"  # the others can do nothing without the CACHE
    assert way_of(f"{method}-direct", options) == Way(direct=direct, session=session)


@pytest.mark.parametrize(
    ("method", "options", "what"),
    [
        ("multicast", "peer", "port"),
        ("multicast", "80", "port"),
        ("multicast", "65535", "port"),
        ("multicast", "9000:both", "full-duplex"),
        ("multicast", "9000:full:10.0.0.1", "multicast address"),
        ("multicast", "9000:full:ff02::1", "octets"),
        ("multicast", "9000:full:nowhere", "nowhere"),
        ("multicast", "9000:full:239.1.1.1:fast", "speed"),
        ("multicast", "9000:full:239.1.1.1:0M", "speed"),
        ("multicast", "9000:full:239.1.1.1:70M:0", "clients"),
        ("multicast", "9000:full:239.1.1.1:70M:2:86401", "seconds"),
        ("multicast", "1:2:3:4:5:6:7", "options"),
        ("uftp", "9000:full-duplex:239.194.17.2", "full-duplex"),
        ("p2p", "server", "peer, leecher or seeder"),
        ("p2p", "peer:long", "seconds"),
    ],
)
def test_what_is_no_option(method: str, options: str, what: str) -> None:
    with pytest.raises(InvalidField, match=what) as caught:
        way_of(method, options)
    assert caught.value.field == "method"
    assert caught.value.hint.startswith(f"{method} ")


def test_nobody_knows_it() -> None:
    assert way_of("carrier-pigeon", "") is None


@given(st.sampled_from(METHODS), st.text() | st.from_regex(r"[0-9:a-zA-Z.-]{0,40}", fullmatch=True))
def test_any_options(method: str, options: str) -> None:
    """They are understood, or refused by name."""
    with suppress(InvalidField):
        assert way_of(method, options) is not None
