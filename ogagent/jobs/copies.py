"""What is known of a job outside the journal, which lies in memory on most clients and dies with the power.

Its partition says whose restore has not finished, its disk whose job changed the table (``ogagent.disk.record``). On a
shelf that outlives the power is a copy of each job that leaves no trace on a partition, or of every one (``of_all``),
from its acceptance, and of each final report that ogCore has not taken at once. All are put right when ogCore has been
told or, where there is none, when the job has ended; ``ogagent.jobs.adoption`` looks for them at the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
from msgspec.structs import replace

from ogagent.disk.gap import erase_record, record_in_gap
from ogagent.disk.machine import Device, ReportShelf, WholeMachine
from ogagent.disk.record import LEAST_PARTITION, LENGTH, PLACE, JobRecord, decode, encode
from ogagent.errors import AgentError
from ogagent.jobs.entry import Ended
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Disk, Inventory
from ogagent.model.job import Job, State
from ogagent.model.kind import Kinds
from ogagent.model.plan import Target
from ogagent.model.report import final_report
from ogagent.system.daemon_thread import DaemonThread
from ogagent.system.memory import page_aligned

_log: Final = logging.getLogger(__name__)

MOST_COPIES: Final = 100
LARGEST_COPY: Final = 64 << 10
NUMBERS: Final = "numbers.json"
"""Lies on the shelf as well; see ``ogagent.jobs.numbers``."""
_PATIENCE_S: Final = 5.0
_MOMENT_S: Final = 1.0
P = ParamSpec("P")
T = TypeVar("T")


class Copies:
    """Lives on the event loop. All is done beside what else goes on: no report waits for a disk that hangs."""

    def __init__(
        self, journal: Journal, machine: WholeMachine, shelf: ReportShelf, kinds: Kinds, *, of_all: bool = False
    ) -> None:
        """``of_all``: each job has a copy from its acceptance, not only one that nothing else tells of."""
        self.late = False
        """Whether the shelf was asked what lies on it, and has not answered in time."""
        self._of_all = of_all
        self._journal = journal
        self._kinds = kinds
        self._machine = machine
        self._shelf = shelf
        self._shelved: set[str] = set()
        self._final: set[str] = set()
        """Those of ``_shelved`` whose copy tells how they ended."""
        self._shelf_is_free = asyncio.Lock()
        self._disks: dict[str, asyncio.Lock] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def disk(self, identity: str) -> asyncio.Lock:
        """A job holds it while it runs: nothing is done here to a disk that somebody works on."""
        return self._disks.setdefault(identity, asyncio.Lock())

    async def accepted(self, job: Job) -> None:
        """Where nothing but a copy would tell of it after a power cut, there is one when this returns."""
        if self._of_all or self._kinds[job.function].lasts:
            await self.begun(job)

    async def ended(self, job_id: str) -> None:
        """Before ogCore is told: where a copy says that the job began, it says how it ended, as it would be told again.

        Whoever waits for the end does not wait for a CACHE that is slow.
        """
        if job_id in self._shelved and (putting := self.waiting(job_id)):
            await asyncio.wait([putting], timeout=_MOMENT_S)

    async def begun(self, job: Job, finishing: Target | None = None) -> None:
        """Before it does anything: whoever comes after the power went knows that it was accepted. ``finishing``: the
        partition that it makes ready, which says nothing of it any more.
        """
        if len(self._shelved) >= MOST_COPIES:
            return
        self._shelved.add(job.job_id)
        copy = Ended(job=job, target=finishing, report=None, finishing=finishing is not None)
        try:
            async with asyncio.timeout(_PATIENCE_S), self._shelf_is_free:
                await self._shelf.put(_file_name(job.job_id), msgspec.json.encode(copy))
        except (AgentError, TimeoutError) as error:
            _log.warning("after a power cut nobody would know of the job: %s", error or "the CACHE does not answer")

    def waiting(self, job_id: str) -> asyncio.Task[None] | None:
        """ogCore has not taken the final report at the first attempt. Returns what copies it, where nothing has yet."""
        if job_id in self._final or len(self._shelved | {job_id}) > MOST_COPIES:
            return None
        self._shelved.add(job_id)
        self._final.add(job_id)
        return self._begin(self._put, job_id)

    def told(self, job_id: str) -> None:
        """ogCore has taken the final report, or will never take it; or there is no ogCore."""
        self._begin(self._mark_told, job_id)
        if job_id in self._shelved:
            self._shelved.discard(job_id)
            self._final.discard(job_id)
            self._begin(self._remove, job_id)

    async def aclose(self) -> None:
        """For the time when no job runs any more."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_PATIENCE_S)

    # --- the shelf ------------------------------------------------------------------------------------------------

    async def shelved(self, patience_s: float | None = None) -> dict[str, Ended]:
        """Copies that are whole, by job; of jobs that only began as well.

        Raises CacheError, and TimeoutError when the shelf has not answered after ``patience_s`` seconds.
        """
        found = {}
        self.late = False
        try:
            async with asyncio.timeout(patience_s), self._shelf_is_free:
                files = await self._shelf.list(MOST_COPIES, LARGEST_COPY)
        except TimeoutError:
            self.late = True
            raise
        files.pop(NUMBERS, None)
        for name, content in files.items():
            ended = _copy(content, self._kinds, of_all=self._of_all)
            if ended is not None and name == _file_name(ended.job.job_id):
                found[ended.job.job_id] = ended
                self._shelved.add(ended.job.job_id)
                self._final |= {ended.job.job_id} if ended.job.final else set()
            else:
                _log.warning("%s is no copy of a report, and is left where it is", name)
        return found

    async def _put(self, job_id: str) -> None:
        async with self._shelf_is_free:
            ended = await asyncio.to_thread(self._journal.ended, job_id)
            content = b"" if ended is None or ended.report is None else msgspec.json.encode(ended)
            if len(content) > LARGEST_COPY:
                _log.warning("a report of %d bytes is too long to have a copy", len(content), extra={"job_id": job_id})
            elif content:
                await self._shelf.put(_file_name(job_id), content)

    async def _remove(self, job_id: str) -> None:
        async with self._shelf_is_free:
            await self._shelf.remove(_file_name(job_id))

    # --- partitions and disks -----------------------------------------------------------------------------------------

    async def record_on(self, target: Target) -> JobRecord | None:
        """None when there is none, and when the partition cannot be looked at, which the log then says."""
        try:
            return await _in_own_thread(self._read, target)
        except AgentError as error:
            _log.warning("%s cannot be asked whose restore it was: %s", target.device, error.message)
            return None

    async def record_in_gap(self, disk: Disk) -> JobRecord | None:
        """None when there is none, and when the disk cannot be looked at, which the log then says."""
        try:
            return await _in_own_thread(record_in_gap, disk)
        except OSError as error:
            _log.warning("%s cannot be asked whose job changed its table: %s", disk.device, error)
            return None

    async def _mark_told(self, job_id: str) -> None:
        ended = await asyncio.to_thread(self._journal.ended, job_id)
        if ended is None:
            return
        if ended.target is not None:
            await self._mark_partition(ended.target, ended.job)
        elif ended.job.target is not None and ended.job.target.partition is None:
            await self._forget_on(ended.job.target.identity, job_id)

    async def _forget_on(self, identity: str, job_id: str) -> None:
        """The disk is where it is now, which is not where it was for a job of an earlier life."""
        inventory = await self._machine.inventory(thorough=False)
        for disk in inventory.disks:
            if disk.identity == identity:
                async with self.disk(identity):
                    record = await self.record_in_gap(disk)
                    if record is not None and record.job_id == job_id:
                        await _in_own_thread(self._erase, disk, job_id)

    def _erase(self, disk: Disk, job_id: str) -> None:
        with self._machine.open_gap(disk) as gap:
            erase_record(gap, job_id)

    async def _mark_partition(self, target: Target, job: Job) -> None:
        if job.state is State.SUCCEEDED:
            return
        async with self.disk(target.identity):
            if (target.identity, target.partition) in await asyncio.to_thread(self._journal.incomplete):
                await _in_own_thread(self._write_told, target, job.job_id)

    def _read(self, target: Target) -> JobRecord | None:
        with self._machine.open_target(target) as device:
            return _record_of(device)

    def _write_told(self, target: Target, job_id: str) -> None:
        """Into a record of this very job, and nowhere else: whoever has the partition now may be somebody new."""
        with self._machine.open_target(target) as device:
            record = _record_of(device)
            if record is not None and record.job_id == job_id and not record.reported:
                page = page_aligned(LENGTH)
                page[:] = encode(replace(record, reported=True))
                device.write(PLACE, page)
                device.flush()

    # --- beside everything else -----------------------------------------------------------------------------------

    def _begin(self, work: Callable[[str], Coroutine[Any, Any, None]], job_id: str) -> asyncio.Task[None] | None:
        if len(self._under_way) >= MOST_COPIES:  # more wait only where a disk hangs, and would in vain
            return None
        task = asyncio.create_task(self._done(work, job_id))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _done(self, work: Callable[[str], Coroutine[Any, Any, None]], job_id: str) -> None:
        """What cannot be done here is at worst said twice, by the same ``event_id``."""
        extra = {"job_id": job_id}
        try:
            await work(job_id)
        except AgentError as error:
            _log.warning("what is kept of the job outside the journal stays as it is: %s", error.message, extra=extra)
        except Exception:  # noqa: BLE001 - a report has been given, whatever becomes of its copies
            _log.exception("what is kept of the job outside the journal stays as it is", extra=extra)


async def _in_own_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A disk that hangs keeps this thread, and none that others wait for."""
    return await asyncio.wrap_future(DaemonThread("record").submit(work, *args, **kwargs))


def _record_of(device: Device) -> JobRecord | None:
    if device.size < LEAST_PARTITION:
        return None
    page = page_aligned(LENGTH)
    device.read_back(PLACE, page)
    record = decode(bytes(page))
    return record if record is not None and record.size == device.size else None


def _file_name(job_id: str) -> str:
    return f"{job_id}.json"


def _copy(content: bytes, kinds: Kinds, *, of_all: bool) -> Ended | None:
    """Whoever has been root on the machine can have written it: the report must be the one that the job leads to."""
    try:
        ended = msgspec.json.decode(content, type=Ended)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    report = ended.report or {}
    if not ended.job.final:
        tells = of_all or ended.finishing or kinds[ended.job.function].lasts
        return ended if ended.report is None and tells else None
    if type(report.get("seq")) is not int:
        return None
    meant = final_report(ended.job, kinds[ended.job.function], Inventory(), {})
    return ended if all(report.get(member) == value for member, value in meant.items()) else None
