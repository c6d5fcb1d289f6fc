"""A share that does not answer, as one of NFS does whose server is away."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest


class HungShare:
    """Answers nothing that is asked by ``call`` any more, until it has come ``back``."""

    def __init__(self, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.back = threading.Event(), threading.Event()
        self.answers: list[object] = []
        self._original = getattr(os, call)
        monkeypatch.setattr(os, call, self._hang)

    def _hang(self, *arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            self.asked.set()
            assert self.back.wait(300)
        self.answers.append(answer := self._original(*arguments, **options))
        return answer


def descriptors_of(path: Path) -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += link.readlink() == path
    return found


async def all_closed(path: Path) -> None:
    async with asyncio.timeout(300):
        while descriptors_of(path):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
