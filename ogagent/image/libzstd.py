"""libzstd itself, for what Python's module cannot do: to unpack into memory that is there already.

That module collects an answer in parts, in memory that is new each time: for frames of 1 MiB this costs more than the
unpacking, for streams a quarter of it. Prototypes are those of ``zstd.h``, all of them stable since zstd 1.4.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Final

from ogagent.errors import ToolMissing

_WINDOW_LOG_MAX: Final = 100  # ZSTD_d_windowLogMax
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


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = (("memory", ctypes.c_void_p), ("size", ctypes.c_size_t), ("place", ctypes.c_size_t))


class Stream:
    """Frames one after the other, in pieces. For one thread at a time.

    ``ended``: the last frame is whole, and nothing of another has been looked at. Raises ToolMissing without libzstd.
    """

    def __init__(self, longest_window: int, largest_piece: int) -> None:
        """``longest_window``: what a frame may ask for, in bytes, to be a power of two."""
        self._context = _Context()
        limit = (longest_window - 1).bit_length()
        _checked(_library().ZSTD_DCtx_setParameter(self._context.pointer, _WINDOW_LOG_MAX, limit))
        self._piece = memoryview(bytearray(largest_piece))
        self._in = _Buffer(_address(self._piece), 0, 0)
        self.ended = True

    @property
    def hungry(self) -> bool:
        """All that came in has been used."""
        return bool(self._in.place == self._in.size)

    @property
    def rest(self) -> memoryview:
        return self._piece[self._in.place : self._in.size]

    def feed(self, data: memoryview) -> None:
        """When it is hungry."""
        self._piece[: len(data)] = data
        self._in.place, self._in.size = 0, len(data)

    def drop(self) -> None:
        """What has come in, and is the rest, will come again."""
        self._in.place = self._in.size = 0

    def unpack(self, into: memoryview) -> int:
        """Fills a part of the view, no further than to the end of a frame; 0 when it needs more. Raises ZstdError."""
        out = _Buffer(_address(into), len(into), 0)
        before = self._in.place
        left = _checked(
            _library().ZSTD_decompressStream(self._context.pointer, ctypes.byref(out), ctypes.byref(self._in))
        )
        if self._in.place > before or out.place:
            self.ended = left == 0
        return int(out.place)


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
        "ZSTD_decompressStream": (size, [pointer, pointer, pointer]),
        "ZSTD_findFrameCompressedSize": (size, [pointer, size]),
        "ZSTD_isError": (ctypes.c_uint, [size]),
        "ZSTD_getErrorName": (ctypes.c_char_p, [size]),
    }
    for name, (answer, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = answer, arguments
    return library
