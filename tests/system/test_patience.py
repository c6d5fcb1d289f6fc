"""Threads that do something for a job."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ogagent.system.aside import aside
from ogagent.system.log import JOB_ID
from ogagent.system.patience import in_thread

WAYS: dict[str, Callable[[], Coroutine[Any, Any, str]]] = {
    "waited for": lambda: in_thread(JOB_ID.get),
    "aside": lambda: aside(60, JOB_ID.get),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_what_it_logs_is_of_that_job(way: Callable[[], Coroutine[Any, Any, str]]) -> None:
    token = JOB_ID.set("Restore-0000000a")
    try:
        assert await way() == "Restore-0000000a"
    finally:
        JOB_ID.reset(token)
