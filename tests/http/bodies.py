"""Bodies of RestaurarImagen as nobody should send them, and as somebody will: by hand, and for Hypothesis."""

from __future__ import annotations

import string
from typing import Any, Final

from hypothesis import strategies as st

GOOD: Final[dict[str, Any]] = {"dsk": "1", "par": "2", "idi": "1", "nci": "image-test", "ipr": "127.0.0.1"}
MEMBERS: Final = (*GOOD, "nfn", "cpt", "ifs", "method", "ptc", "ids", "identity", "force")


def _words(text: str) -> list[str]:
    return text.split()


ODD_HOSTS: Final[tuple[str, ...]] = (
    *_words("127.0.0.1:8080 12:34:56 [::1] [127.0.0.1] fe80::1%eth0 ::1%lo ::1% fe80::1%25eth0 ::1/128 u@h u:p@h"),
    *_words(":: ::: ::1:: 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 12345:: ::g ::127.0.0.1 ::ffff:127.0.0.1"),
    *_words("::ffff:127.0.0.01 64:ff9b::127.0.0.1 0x7f.1 0x7f 0X a.0x1 1.2.3 127.1 2130706433 0177.0.0.1 127.0.0.01"),
    *_words("256.0.0.1 1.2.3.4.5 0 00 0.0.0.0 255.255.255.255 \u0661 \uff11\uff12\uff17.0.0.1 localhost repo REPO a_b"),
    *_words("a..b repo. repo.. 127.0.0.1. . .. .repo - -a a- a-.b a.-b xn-- xn--a xn--0.xn--1 xn--espaa-rta.example"),
    *_words("ñ españa.example straße.example http://h //h h/ h\\ h?x h#x h%20 %68 {ipr} {nci} { * *.example"),
    *("h x", " h", "h ", "h\t", "h\n", "h\x00", "\ud800", "\udfff.example", "\U0001f600", "\ufeffh", "\u202eh"),
    *("a" * 64, f"{'a' * 63}.{'b' * 63}", f"a.{'b' * 64}.c", "1" * 255, "a" * 255, "a." * 126 + "a", "a." * 127 + "a"),
    *("a." * 4000, "\u200d.example"),
)
ODD_NAMES: Final[tuple[str, ...]] = (
    *_words("/image-test //image-test / // /a/b /a/b/c a/b a/ a//b . .. ../x a/.. ..a a.. a..b .a a. a./b. - -- -rf"),
    *_words("_ a%2fb a%00 a?b a#b a:b http://x ñ {ipr} {nci} con image-test.img"),
    *("a" * 200, "/" + "a" * 200, "a" * 201, "a/" + "b" * 198, "a" * 5000, "a\x00", "a\n", "a b", "\ud800"),
)
ODD_METHODS: Final[tuple[str, ...]] = (
    *_words("unicast UNICAST UNICAST-CACHE unicast-direct multicast multicast-direct p2p torrent udpcast uftp"),
    *_words("UnIcAsT MultiCast P2P Torrent UDPCAST UFTP pigeon unicast- - \u212a"),
    *("Unicast-Cache x", "UNICAST-DIRECT 1:2", " unicast ", "unicast\t1", "P2P peer:60", "TORRENT  seeder:3600"),
    *("MULTICAST 9000:full-duplex:239.194.17.2:70M:20:60", "UDPCAST 9000", "UFTP 9000:239.194.17.2:1G", "", " "),
    *("\x00", "\u0130" * 100, "\u00a0unicast", "unicast \ud800", "x" * 201, "unicast " + "x" * 200),
)
ODD_CODES: Final[tuple[Any, ...]] = (
    *_words("83 7 0700 CA00 ffff 0 10000 10010 10001 1000f 00010000 0x83 g"),
    *(" 83", "83 ", "", 0, 83, 9999, 10000, 10010, 10001, 131, 65535, -1, 1e4, 83.0, 8.5),
)
ODD_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 1e16, 1e300, 2**53 - 1, 2**53, -(2**53), 10**30, 10**400),
    *([], [1], ["1"], {}, {"a": 1}, float("inf"), float("nan")),
    *_words("0 1 2 01 1.0 1e0 +1 -1 \u0661 999 1000 KillJob restaurarimagen file:/srv/disk;size:1 \U0001f600 \ud800"),
    *("", " ", "\x00", "a\nb", "\x7f", "\x9f", "\u2028", "\u202e", "\udc00\ud800", "x" * 200, "x" * 201),
    *("\U0001f600" * 200, "\U0001f600" * 201),
)


def by_hand() -> list[dict[str, Any]]:
    """Each odd value in the member that it is odd for, and what is odd everywhere in each member."""
    fitting = {"ipr": ODD_HOSTS, "nci": ODD_NAMES, "method": ODD_METHODS, "ptc": ODD_METHODS, "cpt": ODD_CODES}
    odd = [{**GOOD, name: value} for name, values in fitting.items() for value in values]
    odd += [{**GOOD, name: value} for name in MEMBERS for value in ODD_VALUES]
    odd += [{name: value for name, value in GOOD.items() if name != missing} for missing in GOOD]
    odd += [{**GOOD, "method": None, "ptc": "UNICAST-DIRECT"}, {**GOOD, "method": "unicast", "ptc": 1.5}, {}]
    return odd


_LABEL: Final = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=64)
_NAME: Final = st.lists(_LABEL | _LABEL.map("xn--{}".format), min_size=1, max_size=5).map(".".join)
_INTERNATIONAL: Final = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4).map(".".join)
_NUMBER: Final = st.integers(0, 2**32).flatmap(lambda n: st.sampled_from([f"{n}", f"{n:#x}", f"{n:o}", f"0{n}"]))
_NUMBERS: Final = st.lists(_NUMBER, min_size=1, max_size=5).map(".".join)
_ADDRESS: Final = st.ip_addresses().map(str)
_LOOPBACK: Final = st.ip_addresses(network="127.0.0.0/8").map(str)
_ODD_ADDRESS: Final = st.ip_addresses(v=6).flatmap(
    lambda ip: st.sampled_from([ip.exploded, f"{ip}%eth0", f"[{ip}]", f"{ip}/64", f"::ffff:{int(ip) % 256}.0.0.1"])
)
_HOST: Final = st.one_of(
    *(_LOOPBACK, _ADDRESS, _ODD_ADDRESS, _NUMBERS, _NAME, _INTERNATIONAL), st.sampled_from(ODD_HOSTS)
)
HOSTS: Final = _HOST | st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "http://", "https://", "//", "u@", " "]),
    _HOST,
    st.sampled_from(["", ".", ":80", ":99999", ":", "/", "/x", "?", "#", " ", "\n"]),
)
"""Addresses, names of hosts, and URLs; and what looks like one."""
IMAGES: Final = st.sampled_from(ODD_NAMES) | st.text(string.ascii_letters + string.digits + "._-/", max_size=12)
METHODS: Final = st.sampled_from(ODD_METHODS) | st.text(max_size=30)
CODES: Final = st.sampled_from(ODD_CODES) | st.text(string.hexdigits, max_size=6) | st.integers(-10, 70000)
ANYTHING: Final = st.sampled_from(ODD_VALUES) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_FITTING: Final = {"ipr": HOSTS, "nci": IMAGES, "method": METHODS, "ptc": METHODS, "cpt": CODES}
BODIES: Final = st.builds(
    lambda odd, rest: {**GOOD, **odd, **rest},
    st.fixed_dictionaries({}, optional={name: values | ANYTHING for name, values in _FITTING.items()}),
    st.dictionaries(st.sampled_from(MEMBERS), ANYTHING, max_size=1),
)
