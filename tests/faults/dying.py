"""Agents that die while they capture: a process of its own each, and what the next one finds."""

from __future__ import annotations

import asyncio
import inspect
import json
import multiprocessing
import os
import resource
import shutil
import signal
import threading
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ogagent.capture import folder as folder_store
from ogagent.functions.table import KINDS, Functions
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.model.job import State
from ogagent.service import source_policy
from ogagent.settings import Settings
from simulator.certificates import Authority
from simulator.machine.file_host import host_of
from simulator.machine.file_machine import FileMachine
from tests.faults.bench import CANCELLED, WELL
from tests.faults.capturing import Capture, Studio, Studios, files_in, marks
from tests.faults.models import OLD
from tests.power_twin import StillPower

_CHANGING: Final = {"open", "write", "fsync", "replace", "link", "unlink", "mkdir"}
"""System calls that change a directory, as Python names them."""
_SOURCE: Final = inspect.getsourcefile(folder_store)
_DEEP: Final = 3
"""So many calls pathlib is above its own at most."""
_JOIN_S: Final = 300
LOCKED: Final = 4
INTERRUPTED: Final = "093-"


def live(folder: Path, capture: Capture, ca: Path, url: str, at: int, largest: int) -> None:
    """In a process of its own: an agent captures, and dies before its call number ``at`` that changes the directory, or
    when a file there becomes larger than ``largest`` bytes.
    """
    studio = Studio(folder, capture, Authority(ca), fresh=False)
    if largest:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    calls = Calls(at)
    threading.setprofile(calls.seen)
    asyncio.run(studio.run_at(studio.settings(url), Journal.open(studio.state)))
    threading.setprofile(None)
    (folder / "calls").write_text(json.dumps(calls.made))


class Calls:
    """Those of ``ogagent.capture.folder`` that change something."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.made: list[str] = []

    def seen(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "c_call" or argument.__name__ not in _CHANGING or not _is_of_the_store(frame):
            return
        if argument is os.open:  # of the directory itself, to be flushed
            return
        if len(self.made) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.made.append(argument.__name__)


def _is_of_the_store(frame: FrameType | None) -> bool:
    for _ in range(_DEEP):
        if frame is None:
            return False
        if frame.f_code.co_filename == _SOURCE:
            return True
        frame = frame.f_back
    return False


def context() -> ForkServerContext:
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__])
    return found


def born(studio: Studio, studios: Studios, url: str, *, at: int = -1, largest: int = 0) -> ForkServerProcess:
    order = (studio.folder, studio.capture, studios.authority.directory, url, at, largest)
    process = context().Process(target=live, args=order)
    process.start()
    return process


async def dead(process: ForkServerProcess) -> int:
    """How it has ended."""
    await asyncio.to_thread(process.join, _JOIN_S)
    assert process.exitcode is not None
    return process.exitcode


async def settle(studio: Studio, settings: Settings) -> None:
    """As an agent does it that starts where another one has died: what is told of the job is true then."""
    journal, machine = await asyncio.to_thread(Journal.open, studio.state), FileMachine([studio.disk])
    try:
        functions = Functions(host_of(machine, power=StillPower()).equipment(settings, source_policy(settings)))
        await settle_unended(journal, MarkedDisks(machine, journal), KINDS, functions.recoveries, report=True)
        now, locked = studio.check_images()
        assert not locked, "the lock of a dead job is there"
        known = journal.history()
        assert [job.state for job in known] in ([], [State.SUCCEEDED], [State.INTERRUPTED])
        assert (now == "new") == any(job.state is State.SUCCEEDED for job in known), (now, known)
        reports = [report for _, report in journal.undelivered()]
        assert [report["der"][:4] for report in reports] == [
            "" if job.state is State.SUCCEEDED else INTERRUPTED for job in known
        ]
    finally:
        journal.close()


async def afterwards(studios: Studios, studio: Studio, settings: Settings) -> None:
    """The next agent ends what the dead one has begun. One that knows nothing of it says what stands in its way; what
    was to become a lock, and has not, does not.
    """
    studio.gate.mend()
    await studio.gate.quiet()
    left = files_in(studio.images)
    done = "x.img.lock" not in left and left["x.img"] != OLD["x.img"]
    await settle(studio, settings)
    studio.check_model()
    studios.matrix.endings[CANCELLED if studio.check_images()[0] == "old" else WELL] += 1
    if done:
        return
    studio.put(left)
    shutil.rmtree(studio.state)
    ended = await studio.run_at(settings)
    if "x.img.lock" in left:
        error = ended.job.error
        assert error is not None
        assert error.number == LOCKED
        assert "is locked" in error.message
        assert "x.img.lock" in error.hint
        assert files_in(studio.images) == left
    else:
        assert ended.number == WELL
        assert studio.check_images(marks(left)) == ("new", False)
    studio.check_model()
