"""The call ``RestaurarImagen``: each check of its members, and arbitrary JSON."""

from __future__ import annotations

import string
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.errors import InvalidField, MissingField
from ogagent.restore.request import RestoreRequest, restore_request

CALL: Final = {
    "nfn": "RestaurarImagen",
    "dsk": "1",
    "par": "2",
    "cpt": "83",
    "ifs": "7",
    "idi": "12",
    "nci": "ubuntu24",
    "ipr": "192.168.2.1",
    "method": "UNICAST 1:2",
    "identity": "wwn:0x5000c500a1b2c3d4;size:500107862016",
    "force": "1",
    "ids": "55",
}
MEMBERS: Final = (*CALL, "ptc")


def call(**members: Any) -> dict[str, Any]:
    return {**CALL, **members}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in CALL.items() if name not in names}


def test_every_member_arrives() -> None:
    assert restore_request(CALL) == RestoreRequest(
        dsk=1,
        par=2,
        cpt="83",
        ifs="7",
        idi="12",
        nci="ubuntu24",
        ipr="192.168.2.1",
        method="unicast",
        method_options="1:2",
        identity="wwn:0x5000c500a1b2c3d4;size:500107862016",
        force=True,
        ids="55",
    )


OPTIONAL: Final = ("nfn", "cpt", "ifs", "method", "ptc", "identity", "force", "ids")


def test_what_may_be_left_out() -> None:
    request = restore_request(without(*OPTIONAL))
    assert (request.cpt, request.ifs, request.ids, request.method) == ("", "", "", "unicast")
    assert (request.identity, request.force) == ("", False)


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_is_absent(name: str) -> None:
    assert restore_request(call(**{name: None})) == restore_request(without(name))


@pytest.mark.parametrize("name", ["cpt", "ifs", "identity", "force", "ids"])
def test_so_is_an_empty_text_that_may_be_left_out(name: str) -> None:
    assert restore_request(call(**{name: ""})) == restore_request(without(name))


@pytest.mark.parametrize("kind", [int, float])
def test_integers_are_taken_for_their_digits(kind: type[int | float]) -> None:
    integers = {"dsk": 1, "par": 2, "cpt": 83, "ifs": 7, "idi": 12, "force": 1, "ids": 55}
    assert restore_request(call(**{name: kind(value) for name, value in integers.items()})) == restore_request(CALL)


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**30, 10**4000, 1e16, 1e300, float("inf"), float("nan"), 0.5])
def test_numbers_that_not_every_reader_understands_alike(value: float) -> None:
    assert restore_request(call(idi=2**53 - 1)).idi == "9007199254740991"
    with pytest.raises(InvalidField, match="idi must be a string, or an integer up to"):
        restore_request(call(idi=value))


def test_unknown_members_are_ignored() -> None:
    assert restore_request(call(mac="aa", nested={"a": [1]})) == restore_request(CALL)


def test_the_echo_is_the_call_in_strings() -> None:
    assert restore_request(call(dsk=1)).echo() == {**CALL, "method": "unicast 1:2"}


@pytest.mark.parametrize("name", ["dsk", "par", "idi", "nci", "ipr"])
@pytest.mark.parametrize("absence", ["left out", "null", "empty"])
def test_required_members(name: str, absence: str) -> None:
    members = without(name) if absence == "left out" else call(**{name: None if absence == "null" else ""})
    with pytest.raises(MissingField, match=name) as caught:
        restore_request(members)
    assert (caught.value.field, caught.value.code, caught.value.number) == (name, "missing-field", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nfn", "KillJob"),
        *(("dsk", value) for value in ("0", "-1", "01", "1 ", "one", "1.0", 0, -1, "\u0661", "1\n")),
        *(("par", value) for value in ("0", "-1", "x", 0)),
        *(("cpt", value) for value in ("83000", "10001", "0x83", "g", "-1", "8 3", "83\n", 10**5)),
        *(
            ("nci", value)
            for value in (
                "..",
                "../x",
                "x/..",
                "a/b/c",
                "//x",
                "/",
                "/a/b/c",
                "x/",
                ".x",
                "a/.x",
                "a..b",
                "a b",
                "a%2f",
            )
        ),
        *(("nci", value) for value in ("ñ", "a\\b", "a\n", "x" * 201, "a?b", "a#b")),
        *(("ipr", value) for value in ("a b", "-h", "http://x", "u@h", "h/x", "h:1/", "[::1]", "1.2.3.4\n")),
        *(("ipr", value) for value in ("127.0.0.1:8080", "12:34:56", "a..b", "x" * 64, "fe80::1%eth0", "repo.", "ñ")),
        *(
            ("ipr", value)
            for value in ("0x7f.1", "0x7f", "127.1", "1.2.3", "2130706433", 7, "a." * 127 + "a", "1" * 255)
        ),
        *(
            (name, value)
            for name in ("idi", "ids", "ifs", "identity")
            for value in ("x" * 201, "a\nb", "\x00", "\ud800", "\x85", "\u2028", "\u202e", "\ufeff")
        ),
        *(("force", value) for value in ("2", "-1", "yes", "true", 2, -1)),
        *((name, value) for name in ("method", "ptc") for value in ("  ", "ñ", "\u0130 x", "x" * 201)),
    ],
)
def test_values_out_of_bounds(name: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        restore_request(call(**{name: value}))
    assert (caught.value.field, caught.value.code, caught.value.number) == (name, "invalid-field", 1)


@pytest.mark.parametrize("name", CALL)
@pytest.mark.parametrize("value", [True, False, 1.5, [], ["1"], {}, {"a": 1}])
def test_other_types(name: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        restore_request(call(**{name: value}))
    assert caught.value.field == name


@pytest.mark.parametrize("name", ["a", "x" * 200, "windows/win11-2.0_b", "A.B", "x."])
def test_names_of_images(name: str) -> None:
    assert restore_request(call(nci=name)).nci == name


@pytest.mark.parametrize("name", ["image-test", "windows/win11", "x" * 200])
def test_a_slash_before_the_name_is_dropped(name: str) -> None:
    assert restore_request(call(nci=f"/{name}")).nci == name


@pytest.mark.parametrize("code", ["7", "83", "8300", "0700", "ca", "CA00", "0C01", "10000", "10010"])
def test_partition_codes(code: str) -> None:
    assert restore_request(call(cpt=code)).cpt == code
    if code.isdecimal() and not code.startswith("0"):
        assert restore_request(call(cpt=int(code))).cpt == code


@pytest.mark.parametrize("host", ["10.1.2.3", "repo", "repo.example.org", "fd00::1", "::1", "x" * 63, "a." * 126 + "a"])
def test_repositories(host: str) -> None:
    assert restore_request(call(ipr=host)).ipr == host


@pytest.mark.parametrize(
    ("text", "method", "options"),
    [
        ("UNICAST", "unicast", ""),
        ("Unicast-Direct", "unicast-direct", ""),
        ("MULTICAST 9000:full-duplex:239.194.17.2:70M", "multicast", "9000:full-duplex:239.194.17.2:70M"),
        (" TORRENT  peer:3600 ", "torrent", "peer:3600"),
        ("UNICAST-CACHE", "unicast", ""),
        ("unicast-Cache 1:2", "unicast", "1:2"),
        ("", "", ""),
    ],
)
def test_methods(text: str, method: str, options: str) -> None:
    if not text:
        with pytest.raises(InvalidField):
            restore_request(call(method=text))
        return
    request = restore_request(call(method=text))
    assert (request.method, request.method_options) == (method, options)


def test_ptc_is_another_name_for_method() -> None:
    assert restore_request({**without("method"), "ptc": "UNICAST-DIRECT"}).method == "unicast-direct"
    assert restore_request(call(ptc="P2P")).method == "unicast"
    assert restore_request(call(method=None, ptc="UNICAST-DIRECT")).method == "unicast-direct"
    with pytest.raises(InvalidField) as caught:
        restore_request({**without("method"), "ptc": 1.5})
    assert caught.value.field == "ptc"


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLAUSIBLE: Final = st.text(string.ascii_letters + string.digits + " ./:-_", max_size=12) | st.integers(-1, 200)


@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON | PLAUSIBLE),
    st.sets(st.sampled_from(MEMBERS)),
    st.integers(min_value=10**4000),
)
def test_any_json_object_is_a_request_or_a_named_fault(drawn: dict[str, Any], usual: set[str], huge: int) -> None:
    for members in ({**drawn}, {**drawn, **{name: CALL.get(name, "p2p") for name in usual}}, call(idi=huge)):
        request = outcome(members)
        if isinstance(request, RestoreRequest):
            assert request.dsk >= 1
            assert request.par >= 1
            assert ".." not in request.nci
            assert 1 <= len(request.nci) <= 200
            assert request.nci.count("/") <= 1
            assert restore_request(request.echo()) == request
        else:
            assert request.field in MEMBERS
            assert request.field in request.message
            assert len(request.message) < 500


def outcome(members: dict[str, Any]) -> RestoreRequest | MissingField | InvalidField:
    try:
        return restore_request(members)
    except (MissingField, InvalidField) as error:
        return error
