"""Memory to write from and read into past the page cache."""

from __future__ import annotations

import mmap


def page_aligned(size: int) -> memoryview:
    """Memory as writing and reading past the page cache need it, all zeros. Freed when nothing refers to it any more:
    an error on its way up still does.
    """
    return memoryview(mmap.mmap(-1, size)) if size else memoryview(bytearray())
