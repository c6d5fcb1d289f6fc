"""The call ``CrearImagen``: each check of its members, and its schema, which says the same."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from ogagent.capture.request import CAPTURE_SCHEMA, CaptureRequest, capture_request
from ogagent.errors import BadCall, InvalidField, MissingField
from tests.http.bodies import BODIES, GOOD, HOSTS, ODD_VALUES, by_hand

SCHEMA: Final = validator_for(dict(CAPTURE_SCHEMA), validate_formats=True)
CALL: Final = {
    "nfn": "CrearImagen",
    "dsk": "1",
    "par": "2",
    "idi": "12",
    "nci": "/windows/win11",
    "ipr": "192.168.2.1",
    "cpt": "0700",
    "identity": "wwn:0x5000c500a1b2c3d4;size:500107862016",
    "ids": "55",
}
REQUIRED: Final = ("dsk", "par", "idi", "nci", "ipr")

OF_NO_MEMBER: Final[tuple[object, ...]] = (True, 1.5, [], {}, "\ud800")


def call(**members: Any) -> dict[str, Any]:
    return {**CALL, **members}


def without(name: str) -> dict[str, Any]:
    return {each: value for each, value in CALL.items() if each != name}


def test_every_member_arrives() -> None:
    assert capture_request(CALL) == CaptureRequest(
        dsk=1,
        par=2,
        idi="12",
        nci="windows/win11",
        ipr="192.168.2.1",
        cpt="0700",
        identity="wwn:0x5000c500a1b2c3d4;size:500107862016",
        ids="55",
    )


def test_the_echo_is_the_call_in_strings() -> None:
    assert capture_request(call(dsk=1, idi=12)).echo() == {**CALL, "nci": "windows/win11"}
    assert set(capture_request(GOOD).echo()) == set(CALL)


@pytest.mark.parametrize("name", sorted(set(CALL) - set(REQUIRED)))
def test_what_may_be_left_out(name: str) -> None:
    assert capture_request(call(**{name: None})) == capture_request(without(name))


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("absence", ["left out", "null", "empty"])
def test_required_members(name: str, absence: str) -> None:
    members = without(name) if absence == "left out" else call(**{name: None if absence == "null" else ""})
    with pytest.raises(MissingField, match=name) as caught:
        capture_request(members)
    assert (caught.value.field, caught.value.code, caught.value.number, caught.value.status) == (
        *(name, "missing-field", 1),
        400,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("nfn", value) for value in ("RestaurarImagen", "crearimagen", "")),
        *((name, value) for name in ("dsk", "par") for value in ("0", "-1", "01", "1000", "x", 0, 1000)),
        *(("cpt", value) for value in ("83000", "10000", "0x83", "g", "-1", "8 3", -1, 10000)),
        *(("nci", value) for value in ("..", "../x", "a/b/c", "//x", "/", ".x", "a..b", "a b", "a%2f", "x" * 201)),
        *(("ipr", value) for value in ("a b", "http://x", "u@h", "h/x", "h:1", "[::1]", "127.1", "fe80::1%eth0")),
        *((name, value) for name in ("idi", "ids") for value in ("x" * 201, "a\nb", "\x00", "\u202e")),
        *((name, value) for name in CALL for value in OF_NO_MEMBER),
    ],
)
def test_values_out_of_bounds(name: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        capture_request(call(**{name: value}))
    assert (caught.value.field, caught.value.code, caught.value.number, caught.value.status) == (
        *(name, "invalid-field", 1),
        400,
    )
    assert name in caught.value.message


def test_unknown_members_are_ignored() -> None:
    assert capture_request(call(mac="aa", method=[1], force={"a": 1})) == capture_request(CALL)


# --- the schema ---------------------------------------------------------------------------------------------------


def taken(body: dict[str, Any]) -> bool:
    try:
        request = capture_request(body)
    except BadCall:
        return False
    assert capture_request(request.echo()) == request
    return True


def disagreement(body: dict[str, Any]) -> bool:
    try:
        return bool(SCHEMA.is_valid(body) is not taken(body))
    except ValueError:  # what JSON cannot say: NaN, half a character
        return taken(body)


def test_the_schema_of_bodies_made_by_hand() -> None:
    bodies = [*by_hand(), *(call(**{name: value}) for name in CALL for value in ODD_VALUES)]
    assert [body for body in bodies if disagreement(body)] == []
    assert 100 < len([body for body in bodies if taken(body)]) < len(bodies) - 100


@settings(max_examples=500)
@given(BODIES, st.fixed_dictionaries({}, optional={name: st.sampled_from([*CALL.values()]) for name in CALL}))
def test_the_schema_of_bodies_that_are_generated(body: dict[str, Any], more: dict[str, str]) -> None:
    assert not disagreement({**body, **more})


@settings(max_examples=300)
@given(HOSTS)
def test_the_schema_of_hosts(host: str) -> None:
    assert not disagreement({**GOOD, "ipr": host})
