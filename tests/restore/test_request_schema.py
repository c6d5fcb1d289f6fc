"""The JSON schema of the call and its check say the same."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from ogagent.errors import BadCall
from ogagent.restore.request import RESTORE_SCHEMA, restore_request
from tests.http.bodies import BODIES, GOOD, HOSTS, by_hand

SCHEMA: Final = validator_for(dict(RESTORE_SCHEMA), validate_formats=True)


def taken(body: dict[str, Any]) -> bool:
    try:
        restore_request(body)
    except BadCall:
        return False
    return True


def disagreement(body: dict[str, Any]) -> bool:
    try:
        return bool(SCHEMA.is_valid(body) is not taken(body))
    except ValueError:  # what JSON cannot say: NaN, half a character
        return taken(body)


def test_of_bodies_made_by_hand() -> None:
    assert [body for body in by_hand() if disagreement(body)] == []
    assert 100 < len([body for body in by_hand() if taken(body)]) < len(by_hand()) - 100


@settings(max_examples=500)
@given(BODIES, st.dictionaries(st.text(max_size=5), st.integers(), max_size=2))
def test_of_bodies_that_are_generated(body: dict[str, Any], more: dict[str, int]) -> None:
    assert not disagreement({**more, **body})


@settings(max_examples=500)
@given(HOSTS)
def test_of_hosts(host: str) -> None:
    assert not disagreement({**GOOD, "ipr": host})
