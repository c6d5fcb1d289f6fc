"""The part that one peer takes in the swarms of some images, with libtorrent; in a process of its own."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import libtorrent as lt

from ogagent.crowd.order import Came, Gave, Outlook, Share, Word

FILES: Final = "/proc/self/fd"
_TRACKER: Final = "http://{host}:6969/announce"
_LONGEST_ORDER: Final = 32 << 20
_CHUNK: Final = 1 << 16
_LOOK_S: Final = 1.0


class Hearing:
    """Lines of the descriptor ``fd``."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._heard = bytearray()
        self.over = False

    def line(self) -> bytes:
        """The first one, which is waited for."""
        while b"\n" not in self._heard[-_CHUNK:] and len(self._heard) < _LONGEST_ORDER and not self.over:
            self._hear()
        return self._lines(1)[0]

    def lines(self) -> list[bytes]:
        """Those that have come."""
        self._hear()
        return self._lines(self._heard.count(b"\n"))

    def _hear(self) -> None:
        chunk = os.read(self.fd, _CHUNK)
        self._heard += chunk
        self.over = not chunk

    def _lines(self, count: int) -> list[bytes]:
        *lines, rest = self._heard.split(b"\n", count)
        self._heard = bytearray(rest)
        return [bytes(line) for line in lines]


class Part:
    """``failed``: nothing is left to take part in."""

    def __init__(self, session: lt.session) -> None:
        self._session = session
        self._handles: dict[int, lt.torrent_handle] = {}
        self._given: dict[int, int] = {}
        self._first: Path | None = None
        self._length = self._size = 0
        self._missing: set[int] = set()
        self._filled: deque[int] = deque()
        self._hopeful: bool | None = None
        self._look = 0.0
        self.failed = False

    def add(self, number: int, share: Share, torrent: lt.torrent_info) -> None:
        """The share of this ``number``; what of the first one is fetched is told."""
        pieces, length, size = torrent.num_pieces(), torrent.piece_length(), torrent.total_size()
        params = lt.add_torrent_params()
        params.ti = torrent
        params.save_path = FILES
        params.renamed_files = {0: share.place}
        host = share.tracker or _announced(torrent)
        params.trackers = [_TRACKER.format(host=host)] if host else []
        params.flags = lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds
        params.flags |= lt.torrent_flags.apply_ip_filter
        if share.whole:
            params.flags |= lt.torrent_flags.seed_mode | lt.torrent_flags.upload_mode
        else:
            have, want = _pairs(share.have), _pairs(share.want)
            spans = [(piece * length, min((piece + 1) * length, size)) for piece in range(pieces)]
            held = [any(a <= start and stop <= b for a, b in have) for start, stop in spans]
            wanted = [any(a < stop and start < b for a, b in want) for start, stop in spans]
            params.have_pieces = held
            params.piece_priorities = [4 if each else 0 for each in wanted]
            params.flags |= lt.torrent_flags.no_verify_files
            self._first, self._length, self._size = Path(FILES, share.place), length, size
            self._missing = {piece for piece in range(pieces) if wanted[piece] and not held[piece]}
        self._handles[number] = self._session.add_torrent(params)
        self._given[number] = 0

    def words(self, hearing: Hearing) -> Iterator[Word]:
        """What there is to say, until nothing more is to be heard."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._session.set_alert_fd(writing)
        while self._handles:
            ready, _, _ = select.select([reading, hearing.fd], [], [], 0 if self._filled else _LOOK_S)
            if reading in ready:
                os.read(reading, 4096)
            if hearing.fd in ready:
                self._filled += map(int, hearing.lines())
                if hearing.over:
                    return
            yield from self._heard_of_pieces()
            self._add_filled()
            if time.monotonic() >= self._look + _LOOK_S:
                self._look = time.monotonic()
                yield from self._seen()
        self.failed = True

    def _heard_of_pieces(self) -> Iterator[Word]:
        for alert in self._session.pop_alerts():
            if isinstance(alert, lt.piece_finished_alert):
                self._missing.discard(alert.piece_index)
                yield Came(alert.piece_index)
            elif isinstance(alert, lt.torrent_error_alert | lt.file_error_alert):
                print(alert.message(), file=sys.stderr, flush=True)  # noqa: T201 - its parent hears it
                self._drop(alert.handle)

    def _drop(self, handle: lt.torrent_handle) -> None:
        """A file that cannot be read, or written, ends what is done with it, and nothing else."""
        for number in [number for number, each in self._handles.items() if each == handle]:
            del self._handles[number]
            self._session.remove_torrent(handle)

    def _add_filled(self) -> None:
        """One piece that the agent has put into the file. It is proven like any other, and announced."""
        handle = self._handles.get(0)
        if self._filled and handle is not None and self._first is not None:
            piece = self._filled.popleft()
            start = piece * self._length
            if start < self._size and not handle.have_piece(piece):
                with self._first.open("rb") as file:
                    content = os.pread(file.fileno(), min(self._length, self._size - start), start)
                handle.add_piece(piece, content, 0)
                handle.have_piece(piece)  # waits until libtorrent has taken it: no more than one is in memory

    def _seen(self) -> Iterator[Word]:
        for number, handle in self._handles.items():
            status = handle.status()
            if count := status.total_payload_upload - self._given[number]:
                self._given[number] += count
                yield Gave(number, count)
            if number == 0 and self._missing:
                hopeful = self._may_get(handle, status)
                if hopeful is not self._hopeful:
                    self._hopeful = hopeful
                    yield Outlook(hopeful)

    def _may_get(self, handle: lt.torrent_handle, status: lt.torrent_status) -> bool:
        if status.connect_candidates or status.num_connections > status.num_peers:
            return True
        available = handle.piece_availability()
        return any(available[piece] for piece in self._missing if piece < len(available))


def _announced(torrent: lt.torrent_info) -> str:
    """The host of the tracker that the torrent names; whether it may be spoken with, the filter says."""
    urls = (urlsplit(tracker.url) for tracker in torrent.trackers())
    return next((url.hostname for url in urls if url.scheme == "http" and url.hostname), "")


def _pairs(bounds: list[int]) -> list[tuple[int, int]]:
    return list(zip(bounds[::2], bounds[1::2], strict=True))
