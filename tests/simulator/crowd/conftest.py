"""What tests of sessions share."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.simulator.crowd.room import children_of

Begun = Callable[[], set[int]]


@pytest.fixture
def begun() -> Begun:
    """The processes that a test has begun and that are there; what earlier ones have left in this process is theirs."""
    before = children_of(os.getpid())
    return lambda: children_of(os.getpid()) - before
