"""What schemathesis is told beside the description, which is the shape of bodies: what might be in them.

It loads this as its hooks.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.http.bodies import BODIES


@schemathesis.hook
def flatmap_body(context: Any, body: Any) -> st.SearchStrategy[Any]:
    """What follows from the description alone is tried before that, value by value (phase "coverage")."""
    restores = context.operation is not None and context.operation.path in ("/plan", "/CloningEngine/RestaurarImagen")
    return BODIES.filter(_can_be_sent) if restores else st.just(body)


def _can_be_sent(body: Any) -> bool:
    """It sends no NaN and no infinity."""
    with suppress(ValueError):
        return bool(json.dumps(body, allow_nan=False))
    return False
