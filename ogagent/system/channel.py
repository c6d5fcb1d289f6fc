"""Bounded queues between the stages of one thing, which measure how long each side waited."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_END: Final = object()


class Stopped(Exception):
    """All is over; whoever waits at a channel leaves. Never the cause of a failure, always its consequence."""


class Channel(Generic[T]):
    """From one thread to another. ``waited_s`` is what the receiving side has spent waiting.

    A failure of the sender takes its turn: the receiver gets all that was put before, then meets it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._failure: Exception | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self.waited_s = 0.0

    def put(self, item: T) -> None:
        with self._changed:
            while len(self._items) >= self._capacity and not self._stopped:
                self._changed.wait()
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T | None:
        """None when the sender has ended, once everything before that has been taken."""
        with self._changed:
            began = time.monotonic()
            while not self._items and not self._closed and not self._stopped:
                self._changed.wait()
            self.waited_s += time.monotonic() - began
            if self._stopped:
                raise Stopped
            if not self._items:
                if self._failure is not None:
                    raise self._failure
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        while (item := self.get()) is not None:
            yield item

    @contextmanager
    def sending(self) -> Iterator[None]:
        """For the sender: nothing comes after the block. What it raises is the receiver's, and nobody else's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is raised again where it belongs
            self._failure = error
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()


class Inlet:
    """From the event loop into a thread: chunks of bytes, bounded by their total size.

    An error of the sender reaches the receiver in place of the chunk that never came.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._end: object | BaseException | None = None
        self._changed = threading.Condition()
        self._room: asyncio.Future[None] | None = None
        self.waited_s = 0.0
        self.sender_waited_s = 0.0

    async def put(self, chunk: bytes) -> None:
        with self._changed:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._changed.notify()
            if self._size < self._capacity:
                return
            self._room = room = self._loop.create_future()
        began = time.monotonic()
        try:
            await room
        finally:
            self._room = None
            self.sender_waited_s += time.monotonic() - began

    def close(self) -> None:
        self._finish(_END)

    def fail(self, error: BaseException) -> None:
        self._finish(error)

    def stop(self) -> None:
        self._finish(Stopped())

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._get():
            yield chunk

    def _get(self) -> bytes:
        with self._changed:
            began = time.monotonic()
            while not self._chunks and self._end is None:
                self._changed.wait()
            self.waited_s += time.monotonic() - began
            if isinstance(self._end, Stopped):
                raise self._end
            if not self._chunks:
                if isinstance(self._end, BaseException):
                    raise self._end
                return b""
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            if self._size <= self._capacity // 2:
                self._wake_sender()
            return chunk

    def _finish(self, end: object) -> None:
        with self._changed:
            if self._end is None or isinstance(end, Stopped):
                self._end = end
            self._changed.notify_all()

    def _wake_sender(self) -> None:
        room = self._room
        if room is not None:
            self._room = None
            self._loop.call_soon_threadsafe(_resolve, room)


class Outlet:
    """From a thread into the event loop: chunks of bytes, bounded by their total size.

    An error of the sender reaches the receiver in place of the chunk that never came.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._end: object | BaseException | None = None
        self._changed = threading.Condition()
        self._fresh: asyncio.Future[None] | None = None
        self.sender_waited_s = 0.0

    def put(self, chunk: bytes) -> None:
        with self._changed:
            began = time.monotonic()
            while self._size >= self._capacity and self._end is None:
                self._changed.wait()
            self.sender_waited_s += time.monotonic() - began
            if self._end is not None:
                raise Stopped
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._wake_receiver()

    def close(self) -> None:
        self._finish(_END)

    def fail(self, error: BaseException) -> None:
        self._finish(error)

    def stop(self) -> None:
        self._finish(Stopped())

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        while True:
            with self._changed:
                if isinstance(self._end, Stopped):
                    raise self._end
                if self._chunks:
                    chunk = self._chunks.popleft()
                    self._size -= len(chunk)
                    self._changed.notify()
                elif isinstance(self._end, BaseException):
                    raise self._end
                elif self._end is not None:
                    return
                else:
                    chunk = b""
                    self._fresh = fresh = self._loop.create_future()
            if chunk:
                yield chunk
            else:
                await fresh

    def _finish(self, end: object) -> None:
        with self._changed:
            if self._end is None or isinstance(end, Stopped):
                self._end = end
            self._changed.notify_all()
            self._wake_receiver()

    def _wake_receiver(self) -> None:
        fresh = self._fresh
        if fresh is not None:
            self._fresh = None
            self._loop.call_soon_threadsafe(_resolve, fresh)


def _resolve(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
