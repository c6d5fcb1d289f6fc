"""What looks into a restored system has ended when that is not mounted any more."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ogagent.finish import windows
from tests.finish.folder import Folder


class Slow(Folder):
    """``find`` waits until it is told to go on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked, self.go_on, self.answered = threading.Event(), threading.Event(), threading.Event()

    def find(self, *names: str) -> str | None:
        self.asked.set()
        self.go_on.wait()
        try:
            return super().find(*names)
        finally:
            self.answered.set()


async def test_a_cancel_waits_for_who_looks_for_a_windows(tmp_path: Path) -> None:
    files = Slow(tmp_path)
    looking = asyncio.create_task(windows.look(files, tmp_path))
    await asyncio.to_thread(files.asked.wait)
    looking.cancel()
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not looking.done()
    finally:
        files.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert files.answered.is_set()
