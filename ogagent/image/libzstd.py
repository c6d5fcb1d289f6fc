"""libzstd itself, for what Python's module cannot do: to unpack a frame into memory that is there already.

That module collects an answer in parts, in memory that is new each time: for frames of 1 MiB this costs more than the
unpacking. Prototypes are those of ``zstd.h``, all of them stable since zstd 1.4.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Final

from ogagent.errors import ToolMissing

_IGNORE_CHECKSUM: Final = 1002  # ZSTD_d_forceIgnoreChecksum; a libzstd that does not know it goes on checking
_own: Final = threading.local()


class ZstdError(Exception):
    """What libzstd says of a frame."""


def unpack(frame: bytes | memoryview, into: memoryview, *, checked: bool) -> int:
    """Answers how many bytes of ``into`` the frame fills. A view must be of memory that can be written to.

    Not ``checked``: the checksum in the frame, a tenth of the work, is not looked at: there is a better proof. No more
    memory is needed, whatever window the frame asks for: what was unpacked is the window.

    Raises ZstdError, also for what does not fit and for what is not exactly one frame; ToolMissing without libzstd.
    """
    if not len(frame) or not len(into):
        raise ZstdError("there is nothing of it")
    library, source, target = _library(), _address(frame), _address(into)
    if _checked(library.ZSTD_findFrameCompressedSize(source, len(frame))) != len(frame):
        raise ZstdError("it goes on after its end")
    context = _context().pointer
    library.ZSTD_DCtx_setParameter(context, _IGNORE_CHECKSUM, 0 if checked else 1)
    return _checked(library.ZSTD_decompressDCtx(context, target, len(into), source, len(frame)))


class _Context:
    """What libzstd keeps from frame to frame: tables, and no content. For one thread at a time."""

    def __init__(self) -> None:
        self._library = _library()
        self.pointer = self._library.ZSTD_createDCtx()
        if not self.pointer:
            raise MemoryError("ZSTD_createDCtx")

    def __del__(self) -> None:
        self._library.ZSTD_freeDCtx(self.pointer)


def _context() -> _Context:
    """Goes when its thread ends."""
    if not hasattr(_own, "context"):
        _own.context = _Context()
    context: _Context = _own.context
    return context


def _checked(answer: int) -> int:
    if _library().ZSTD_isError(answer):
        raise ZstdError(_library().ZSTD_getErrorName(answer).decode())
    return answer


def _address(memory: bytes | memoryview) -> int | bytes:
    return memory if isinstance(memory, bytes) else ctypes.addressof(ctypes.c_char.from_buffer(memory))


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise ToolMissing("libzstd.so.1 is not installed", hint="apt install libzstd1") from None
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    prototypes = {
        "ZSTD_createDCtx": (pointer, []),
        "ZSTD_freeDCtx": (size, [pointer]),
        "ZSTD_DCtx_setParameter": (size, [pointer, ctypes.c_int, ctypes.c_int]),
        "ZSTD_decompressDCtx": (size, [pointer, pointer, size, pointer, size]),
        "ZSTD_findFrameCompressedSize": (size, [pointer, size]),
        "ZSTD_isError": (ctypes.c_uint, [size]),
        "ZSTD_getErrorName": (ctypes.c_char_p, [size]),
    }
    for name, (answer, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = answer, arguments
    return library
