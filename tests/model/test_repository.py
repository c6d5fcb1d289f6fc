"""Hosts as RFC 1123 and the sockets see them, and the URLs that are made of them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from yarl import URL

from ogagent.model.repository import image_url, is_half_an_address, is_host, is_within
from tests.http.bodies import HOSTS, ODD_HOSTS


@pytest.mark.parametrize(
    "host",
    [
        *("10.1.2.3", "255.255.255.255", "::", "::1", "fd00::1", "1:2:3:4:5:6:7::", "::ffff:10.0.0.1", "FD00::ABCD"),
        *(
            "a",
            "A",
            "7a",
            "a7",
            "repo",
            "og-repo",
            "og--repo",
            "1.2.3.repo",
            "10.repo",
            "xn--espaa-rta.example",
            "xn--a",
        ),
        *("0x7g", "x7", "a" * 63, ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])),
    ],
)
def test_what_is_a_host(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            ".",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a.-b",
            "a_b",
            "a b",
            "ñ",
            "a:80",
            "a/b",
            "[::1]",
            "::1%eth0",
            "a" * 64,
        ),
        *(
            "7",
            "1.2.3",
            "a.7",
            "a.0x7",
            "0x",
            "0X7F",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "::1\n",
            "a\n",
            "1.2.3.4\n",
        ),
        *(
            "12:34:56",
            ":::",
            "1:2:3:4:5:6:7:8:9",
            "::ffff:10.0.0.01",
            ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 62]),
        ),
    ],
)
def test_what_is_none(host: str) -> None:
    assert not is_host(host)


@given(st.ip_addresses())
def test_every_address_is_a_host(address: object) -> None:
    assert is_host(str(address))
    assert not is_host(f"[{address}]")
    assert not is_half_an_address(str(address))


@given(HOSTS | st.sampled_from(ODD_HOSTS))
def test_whatever_is_a_host_can_be_asked_for(host: str) -> None:
    """By those who raise for what they do not like: the maker of URLs and, for a name, the codec of sockets."""
    assume(is_host(host))
    url = URL(image_url("https://{ipr}:8443/images/{nci}.img", host, "windows/win-11_b.2"))
    assert (url.explicit_port, url.path) == (8443, "/images/windows/win-11_b.2.img")
    assert url.raw_host is not None
    try:
        assert ip_address(url.raw_host) == ip_address(host)
    except ValueError:
        assert url.raw_host == host.lower()
        assert url.raw_host.encode("idna").decode() == url.raw_host
        assert not is_half_an_address(host)


@pytest.mark.parametrize("host", ["7", "127.1", "0x7f.1", "a.7", "127.0.0.1.", "2130706433", "0177.0.0.1", "a.0X"])
def test_what_resolvers_may_take_for_an_address(host: str) -> None:
    assert is_half_an_address(host)


@pytest.mark.parametrize(
    ("address", "inside"),
    [("10.1.2.3", True), ("11.1.2.3", False), ("::ffff:10.1.2.3", True), ("fd00::1", True), ("fe80::1", False)],
)
def test_networks(address: str, inside: bool) -> None:
    assert is_within(address, [ip_network("10.0.0.0/8"), ip_network("fc00::/7")]) is inside


def test_a_name_is_in_no_network_yet() -> None:
    with pytest.raises(ValueError, match="repo"):
        is_within("repo", [])
