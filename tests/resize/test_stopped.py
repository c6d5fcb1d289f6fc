"""Looking through an NTFS takes its time: a cancel ends it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ogagent.resize import ntfs_undo
from tests.resize.movable import make_ntfs


def test_who_is_told_to_stop_reads_no_further(tmp_path: Path) -> None:
    path, stop = tmp_path / "model", threading.Event()
    make_ntfs(path)
    assert ntfs_undo.overwritten(str(path), 72 << 20, stop)
    stop.set()
    with pytest.raises(OSError, match="canceled"):
        ntfs_undo.overwritten(str(path), 72 << 20, stop)
