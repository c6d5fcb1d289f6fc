"""uftp: a sender that waits for nobody. It sends the file once, and then again whatever somebody has missed.

What the receiver says, and its options: uftpd(1) of uftp 4.10, which is Debian's. It fills the CACHE's own file.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from ogagent.crowd.arrivals import Givers, InStorage, Storage
from ogagent.crowd.neighbours import Neighbours, among_neighbours
from ogagent.crowd.station import ENGINE, Station
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from ogagent.system import process
from ogagent.system.flow import Flow
from ogagent.system.patience import in_thread
from ogagent.system.text import printable

PROGRAM: Final = "uftpd"
_HELD_BACK: Final = 1 << 20
"""So much of what has come may not be in the file yet: ``-c``, and its default."""
_SOCKET_BUFFER: Final = 8 << 20
_LOOK_S: Final = 0.2
_AGAIN_S: Final = 2.0
"""So long a later pass has before what was wrong is looked into again, which takes a processor."""
_GROUP: Final = "230.4.4.1"
"""Where uftp announces sessions when nobody says otherwise."""
_JOINED: Final = "CONNECT;"
_RESULT: Final = "RESULT;"
_GIVEN_UP: Final = re.compile(r"\]: ([^:]*(?:abort|timed? ?out).*)", re.IGNORECASE)
"""What it says of itself: behind a colon stand others' words, and names."""
_OTHERS: Final = "is another session on this port?"


class Uftp(InStorage):
    """Implements ``ogagent.crowd.arrivals.Arrivals``: what has come is in the storage, and read from there.

    How far the first pass is shows by the length of the file; what later passes mend, by the time of its last change.
    """

    givers: Final[Givers] = "multicast"
    gives: Final = False
    repeats: Final = True

    def __init__(
        self, session: Session, station: Station, name: str, size: int, storage: Storage, now: Callable[[], float]
    ) -> None:
        """``name`` is what the sender calls the file; ``now`` in seconds."""
        self._session = session
        self._station = station
        self._name = name
        self._size = size
        self._storage = storage
        self._now = now
        self._wrong = Ranges()
        self._joined = False
        self._news = 0.0
        self._over = False
        self._failure: MulticastFailed | None = None

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        account = self._station.account or ENGINE
        async with self._storage.lent(self._name, account.uid, account.gid, afresh=True) as folder:
            command = self._command(folder)
            async with (
                process.flowing(
                    command, account=self._station.account, fds=(folder,), mixed=True, largest=self._size + 1
                ) as flow,
                among_neighbours(self._session.port, self._station, self._now) as neighbours,
            ):
                listening = asyncio.create_task(self._listen(flow))
                try:
                    async with aclosing(self._watched(folder, neighbours)) as stretches:
                        async for stretch in stretches:
                            self._storage.came(*stretch, self.givers)
                            yield stretch
                finally:
                    listening.cancel()
                    await asyncio.wait([listening])
        if self._failure is not None:
            raise self._failure

    async def _listen(self, flow: Flow) -> None:
        """Until it says that the file is there, or that it will not be."""
        try:
            while line := (await flow.line()).decode(errors="replace"):
                if line.startswith(_JOINED):
                    self._joined, self._news = True, self._now()
                elif line.startswith(_RESULT):
                    self._failure = self._result(line.strip())
                    break
                elif given_up := _GIVEN_UP.search(line):
                    self._failure = MulticastFailed(f"uftpd: {printable(given_up[1])}")
                    break
            else:
                self._failure = MulticastFailed(f"uftpd: {await flow.outcome() or 'it has ended'}")
        except ValueError as error:
            self._failure = MulticastFailed(f"uftpd said what nobody understands: {error}")
        self._over = True

    def _result(self, line: str) -> MulticastFailed | None:
        """Raises ValueError for a line that is cut short."""
        _, _, _, _, rest = line.split(";", 4)
        name, _, word = rest.rsplit(";", 2)
        if name != self._name:
            return _another_file(name)
        return None if word == "copied" else MulticastFailed(f"uftpd: the file was {printable(word)}")

    async def _watched(self, folder: int, neighbours: Neighbours) -> AsyncGenerator[tuple[int, int], None]:
        """What of the file has changed since it was looked at last."""
        front, changed, tried = 0, 0, 0
        self._news = again = self._now()
        while not self._over:
            await asyncio.sleep(_LOOK_S)
            length, when = await in_thread(self._look, folder)
            come = max(length - _HELD_BACK, 0)
            if when != changed:
                changed, self._news = when, self._now()
            if come > front:
                neighbours.receiving = True
                yield front, come
                front = come
            elif changed != tried and self._now() >= again:
                tried, again = changed, self._now() + _AGAIN_S
                for stretch in self._again():
                    yield stretch
            neighbours.check(joined=self._joined)
            self._be_patient(self._now() - self._news)
        length, _ = await in_thread(self._look, folder)
        if length > front:  # of one that was broken off no more is there
            yield front, length
        for stretch in self._again():
            yield stretch

    def _again(self) -> list[tuple[int, int]]:
        """What was wrong may have been mended."""
        stretches, self._wrong = list(self._wrong), Ranges()
        return stretches

    def _be_patient(self, since_s: float) -> None:
        if not self._joined and since_s > self._station.join_timeout_s:
            raise SessionNotJoined(
                f"nobody sends with uftp on port {self._session.port}",
                hint="start the session at the repository; multicast does not cross routers, nor most firewalls",
            )
        if self._joined and since_s > self._station.stall_s + self._session.wait_s:
            raise MulticastFailed(f"nothing has come for {since_s:.0f} s")

    def _look(self, folder: int) -> tuple[int, int]:
        """Its length, and when it was changed. Raises MulticastFailed when what comes is not the image."""
        try:
            with os.scandir(folder) as entries:
                other = next((entry.name for entry in entries if entry.name != self._name), None)
            if other is not None:
                raise _another_file(other)
            status = os.stat(self._name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return 0, 0
        if status.st_size > self._size:
            raise MulticastFailed("what comes is longer than the image", hint=_OTHERS)
        return status.st_size, status.st_mtime_ns

    def _command(self, folder: int) -> list[str]:
        """The last component keeps it from taking the link for something to be replaced by a directory."""
        session = self._session
        words = [PROGRAM, "-d", "-q", "-F", "@LOG", "-x", "2", "-p", f"{session.port}", "-M", session.address or _GROUP]
        words += ["-I", self._station.interface, "-D", f"/proc/self/fd/{folder}/.", "-B", f"{_SOCKET_BUFFER}"]
        return [*words, "-c", f"{_HELD_BACK}"]

    def wrong(self, start: int, stop: int) -> None:
        self._wrong.add(start, stop)


def _another_file(name: str) -> MulticastFailed:
    return MulticastFailed(f"another file comes: {printable(name)}", hint=_OTHERS)
