"""One row: a room is set up, gets the image, and is gone again."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import psutil
from msgspec import Struct

from ogagent.model.job import Job
from simulator.bench.crowd.cases import Case
from simulator.bench.crowd.images import NEW, OLD, Images
from simulator.bench.crowd.pc import Pc
from simulator.bench.crowd.server import Repository
from simulator.bench.session import Say
from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.signals import undisturbed
from simulator.switch import MEGABIT, forget_groups, own_network, plugged, switch

_LOOK_S: Final = 0.5
_START_S: Final = 300.0
_PATIENCE: Final = 6.0
"""Times what unicast would take."""
_LEAST_PATIENCE_S: Final = 900.0
SLOWER: Final = 4
_PER_MILLE: Final = 10
_FAILS_AT: Final = 0.4
_COMES_AT: Final = 0.5
_FORGETS_AFTER: Final = 0.4
_OF_THE_LINK: Final = 0.94
"""What a sender of multicast may take of it: its packets have headers, and answers go the other way."""
_WAIT_S: Final = 120
_ANNOUNCED_S: Final = 5
"""uftp waits for nobody in particular: so long its clients have to join."""
_ANY_SPEED: Final = 10_000


class Place(Struct, frozen=True):
    """``mbit`` is the speed of each link, in Mbit/s."""

    images: Images
    mbit: int
    scratch: Path

    @property
    def alone_s(self) -> float:
        """What one client takes at least."""
        return self.images.size * 8 / (self.mbit * 1e6)


class Row(Struct, frozen=True, kw_only=True):
    """Seconds from the order to the end of each client's job that succeeded, shortest first; ``odd_s`` of the one that
    is not as the others, if one is. ``sent`` are bytes that have left the repository, ``ranges`` those that each client
    asked it for, in the order of the clients; memory in bytes; ``idle`` of a hundred of the processor's time.
    ``failed``: jobs that said so; ``left``: why clients have left the session, and how many.
    """

    case: Case
    seconds: list[float]
    odd_s: float | None
    sent: int
    ranges: list[int]
    agent_rss: int
    engine_rss: int
    idle: float
    failed: int
    left: dict[str, int]


def measure(case: Case, place: Place, say: Say) -> Row:
    """Raises LabError, also when a disk is not what its job says."""
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="row-", dir=place.scratch))
        stack.enter_context(own_network())
        stack.enter_context(switch())
        room = _Room(case, place, Path(directory), stack)
        with room.at_work(say):
            return room.row(say)


class _Room:
    def __init__(self, case: Case, place: Place, directory: Path, stack: ExitStack) -> None:
        self._case = case
        self._place = place
        authority = Authority(directory / "ca")
        hosts = [stack.enter_context(plugged(number, place.mbit * MEGABIT)) for number in range(1, case.clients + 2)]
        authority.server_context(hosts[0].address)
        self._repository = Repository(hosts[0], place.images.directory, authority, directory / "repository.log")
        self._pcs = [Pc(host, directory / host.name, place.images.size, authority) for host in hosts[1:]]
        self._odd = self._pcs[-1] if case.trouble in ("slow", "dead", "late") else None
        self._usual = [pc for pc in self._pcs if pc is not self._odd]
        self._began: dict[Pc, float] = {}
        self._hosts = hosts
        self._method = ""
        self._image = OLD

    @contextmanager
    def at_work(self, say: Say) -> Iterator[None]:
        """All of it answers. At the end nothing of it is left, and nobody is waited for."""
        with ExitStack() as stack:
            stack.enter_context(self._repository.running())
            for pc in self._pcs:
                stack.enter_context(pc.running())
            stack.callback(self._power_off)
            say(f"{self._case.name}: the agents start")
            self._wait(lambda: self._repository.answers() and all(pc.answers() for pc in self._pcs), _START_S)
            yield

    def _power_off(self) -> None:
        with undisturbed():
            for host in self._hosts:
                host.kill_all()

    def row(self, say: Say) -> Row:
        if self._case.trouble == "changed":
            say(f"{self._case.name}: the image as it was")
            self._deploy(say)
            self._image = NEW
        self._begin_trouble()
        sent, before = self._repository.host.sent(), psutil.cpu_times()
        self._deploy(say)
        idle, sent = _idle(before), self._repository.host.sent() - sent
        say(f"{self._case.name}: the disks are compared")
        for pc in self._pcs:
            pc.prove(self._place.images.content(self._image))
        jobs = [pc.job for pc in self._pcs if pc.job and not pc.dead]
        return Row(
            case=self._case,
            seconds=sorted(self._took(pc) for pc in self._usual if _succeeded(pc)),
            odd_s=self._took(self._odd) if self._odd and _succeeded(self._odd) else None,
            sent=sent,
            ranges=[job.sources.repository for job in jobs if job.sources is not msgspec.UNSET],
            agent_rss=max(pc.peak_rss for pc in self._pcs),
            engine_rss=max(pc.engine_rss for pc in self._pcs),
            idle=idle,
            failed=sum(not _succeeded(pc) for pc in self._pcs if not pc.dead),
            left=dict(Counter(job.left for job in jobs if job.left is not msgspec.UNSET)),
        )

    # --- what happens ---------------------------------------------------------------------------------------------

    def _begin_trouble(self) -> None:
        if self._case.trouble == "slow" and self._odd:
            self._odd.host.set_speed(self._place.mbit * MEGABIT // SLOWER)
        elif self._case.trouble == "loss":
            for pc in self._pcs:
                pc.host.lose(_PER_MILLE)
        elif self._case.trouble == "switch":
            forget_groups(max(int(self._place.alone_s * _FORGETS_AFTER), 1))

    def _deploy(self, say: Say) -> None:
        late = self._odd if self._case.trouble == "late" else None
        at_once = [pc for pc in self._pcs if pc is not late]
        self._method = self._session(len(at_once))
        with ThreadPoolExecutor(max_workers=len(at_once)) as pool:
            list(pool.map(self._order, at_once))
        pending = [(_COMES_AT, lambda: self._order(late))] if late else self._later_trouble()

        def over() -> bool:
            for pc in self._pcs:
                pc.look()
            share = statistics.median(pc.arrived(self._place.images.image) for pc in self._usual)
            say(f"{self._case.name}: {100 * share:.0f} %")
            while pending and (share >= pending[0][0] or all(pc.ended for pc in self._usual)):
                pending.pop()[1]()
            return all(pc.ended for pc in self._pcs)

        patience_s = max(_PATIENCE * self._place.alone_s * self._case.clients, _LEAST_PATIENCE_S)
        self._wait(over, patience_s)

    def _later_trouble(self) -> list[tuple[float, Callable[[], None]]]:
        if self._case.trouble == "dead" and self._odd:
            return [(_FAILS_AT, self._odd.lose_power)]
        if self._case.trouble == "sender":
            return [(_FAILS_AT, self._repository.kill_sender)]
        return []

    def _session(self, clients: int) -> str:
        """The method that the agents are told."""
        speed = max(int(self._place.mbit * _OF_THE_LINK), 1)
        match self._case.method:
            case "udpcast":
                members = {"speed": speed, "clients": clients, "wait": _WAIT_S}
            case "uftp":
                members = {"speed": speed, "clients": clients, "wait": _ANNOUNCED_S}
            case "p2p":
                members = {"speed": _ANY_SPEED, "clients": clients, "wait": _WAIT_S}
            case "unicast":
                return "unicast"
        return self._repository.begin(self._case.method, self._image, **members)

    def _order(self, pc: Pc) -> None:
        self._began[pc] = time.time()
        pc.order(self._image, self._method, self._repository.host.address)

    # --------------------------------------------------------------------------------------------------------------

    def _took(self, pc: Pc) -> float:
        return _finished(pc.job) - self._began[pc]

    def _wait(self, condition: Callable[[], bool], patience_s: float) -> None:
        give_up = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > give_up:
                raise LabError(f"{self._case.name}: waited {patience_s:.0f} seconds in vain")
            time.sleep(_LOOK_S)


def _succeeded(pc: Pc) -> bool:
    return pc.job is not None and pc.job.state == "succeeded"


def _finished(job: Job | None) -> float:
    if job is None or job.finished is None:
        raise LabError("a job has not ended")
    return datetime.fromisoformat(job.finished).timestamp()


def _idle(before: Sequence[float]) -> float:
    """Of the whole machine, since then. The time of guests is in that of their users already."""
    now = psutil.cpu_times()
    spent = {name: float(new - old) for name, new, old in zip(now._fields, now, before, strict=True)}
    total = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
    return 100 * (spent["idle"] + spent["iowait"]) / total
