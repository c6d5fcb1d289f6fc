"""Rooms in which something goes wrong: whoever has nothing to do with it gets the image from the session all the same,
and whoever has gets it, too. That a disk holds the image when its job says so is proven by the measurement itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from simulator.bench.crowd.cases import METHODS, Case, Method, Trouble, cases
from simulator.bench.crowd.images import Images, make_images
from simulator.bench.crowd.room import Place, Row, measure

MIB: Final = 1 << 20
SIZE: Final = 16 * MIB
LONG: Final = 64 * MIB
"""There are seconds left for one that comes at half of it."""
MBIT: Final = 40
GENTLY: Final = 20
"""There are seconds left for what happens in the middle."""
SLOWLY: Final = 10
"""So that all have joined before the switch forgets them."""
CLIENTS: Final = 2
TOGETHER: Final = [method for method in METHODS if method != "unicast"]

Deployed = Callable[..., Row]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root")


def by(trouble: Trouble) -> pytest.MarkDecorator:
    """With each method by which PCs get something together, and that has this trouble."""
    troubled = [case.method for case in cases(TOGETHER, (CLIENTS,), (trouble,)) if case.trouble == trouble]
    return pytest.mark.parametrize("method", troubled)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Images]:
    return {size: make_images(tmp_path_factory.mktemp("images"), size) for size in (SIZE, LONG)}


@pytest.fixture
def deployed(images: dict[int, Images], tmp_path: Path) -> Deployed:
    def measured(method: Method, trouble: Trouble, size: int = SIZE, mbit: int = MBIT) -> Row:
        row = measure(Case(method, CLIENTS, trouble), Place(images[size], mbit, tmp_path), lambda _: None)
        assert row.failed == 0, row
        return row

    return measured


def reasons(row: Row) -> list[str]:
    """Why PCs have left, without figures."""
    return sorted(re.sub(r"\d+", "N", why) for why, count in row.left.items() for _ in range(count))


def stayed(row: Row, size: int) -> bool:
    """All of them, with nearly nothing from the repository; a busy machine may make one leave that hears too little."""
    left = [each for each in reasons(row) if not each.endswith("of the packets that others get")]
    return not left and (bool(row.left) or max(row.ranges) < size // 20)


@by("slow")
def test_one_has_a_slow_link(deployed: Deployed, method: Method) -> None:
    """The other one has its image before it, and did not need the repository."""
    row = deployed(method, "slow", mbit=GENTLY)
    assert row.odd_s is not None
    assert row.seconds[0] < row.odd_s
    assert row.ranges[0] < SIZE // 20
    assert reasons(row) == ([] if method == "p2p" else ["after N s: this PC gets N% of the packets that others get"])


@by("dead")
def test_one_loses_its_power(deployed: Deployed, method: Method) -> None:
    row = deployed(method, "dead", mbit=GENTLY)
    assert (len(row.seconds), row.odd_s) == (1, None)
    assert stayed(row, SIZE)


@by("late")
def test_one_comes_late(deployed: Deployed, method: Method) -> None:
    """Peers take it in. A session does not, and it hears that, unless it has been so slow that all is over; uftp waits
    for nobody, and on a busy machine may have begun without the other one, too.
    """
    row = deployed(method, "late", LONG)
    assert row.odd_s is not None
    left = reasons(row)
    assert all(re.search("the session has begun without this PC|nobody sends", why) for why in left)
    assert len(left) in {"p2p": {0}, "udpcast": {1}, "uftp": {1, CLIENTS}}[method]
    if len(left) < CLIENTS:
        assert row.ranges[0] < LONG // 20
    if method == "p2p":
        assert max(row.ranges) < LONG // 20


@by("loss")
def test_packets_are_lost(deployed: Deployed, method: Method) -> None:
    row = deployed(method, "loss")
    assert len(row.seconds) == CLIENTS
    assert stayed(row, SIZE)


@by("sender")
def test_the_sender_is_killed(deployed: Deployed, method: Method) -> None:
    """What it has given is not fetched again, and peers share what is."""
    row = deployed(method, "sender", mbit=GENTLY)
    assert (len(row.seconds), len(reasons(row))) == (CLIENTS, CLIENTS)
    assert max(row.ranges) < SIZE * 3 // 4
    assert sum(row.ranges) < (SIZE if method == "p2p" else CLIENTS * SIZE)


@by("switch")
def test_a_switch_forgets_the_group(deployed: Deployed, method: Method) -> None:
    row = deployed(method, "switch", mbit=SLOWLY)
    assert (len(row.seconds), len(reasons(row))) == (CLIENTS, CLIENTS)
    assert max(row.ranges) < SIZE * 19 // 20


@by("changed")
def test_only_what_has_changed_is_moved(deployed: Deployed, method: Method) -> None:
    row = deployed(method, "changed", LONG)
    assert len(row.seconds) == CLIENTS
    assert stayed(row, LONG)
    assert row.sent < LONG // 5
