"""What a PC must be once it has started by itself: each promise has a name, and holds or does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from tests.machine.day import DAY
from tests.machine.models import Model
from tests.machine.network import Lease


class Facts(Struct, frozen=True):
    """What the system has said of itself, and what the network and the console say of it. ``told`` as in ``report``;
    nothing when it did not start, for the reason in ``dead``. ``day``: as in ``day.py``.
    """

    name: str
    told: dict[str, list[str]]
    console: list[str]
    leases: list[Lease]
    dead: str = ""
    day: Sequence[str] = ()

    def one(self, name: str) -> str:
        return next(iter(self.told.get(name, [])), "")

    def all(self, name: str) -> list[str]:
        return self.told.get(name, [])

    @property
    def keys(self) -> set[str]:
        return {line.split()[1] for line in self.all("host-key")}

    @property
    def address(self) -> str:
        found = re.search(r"inet ([0-9.]+)/", self.one("address"))
        return found.group(1) if found else ""


class Case(Struct, frozen=True, kw_only=True):
    """One PC, the model that it was made from, and the others that were, on at the same time. A model has no others."""

    facts: Facts
    model: Facts | None = None
    others: Sequence[Facts] = ()
    swap: bool = False
    esp: bool = False
    agent: bool = False


class Verdict(Struct, frozen=True):
    """``value``: what was found, for people."""

    name: str
    holds: bool
    value: str


Check = Callable[[Case], tuple[bool, str]]
_WAITED: Final = re.compile(r"Dependency failed for \S+\.target|Gave up waiting")
"""What held up the start. A mount that is ``nofail`` looks for its device beside it, for as long as it says."""


def told(report: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"([a-z-]+)\t(.*)", report):  # a firmware may have cleared the screen before
        found.setdefault(name, []).append(value)
    return found


def judged(case: Case) -> list[Verdict]:
    wanted = {**_OF_ALL, **(_OF_CLONES if case.others else {}), **(_OF_AGENTS if case.agent else {})}
    if case.facts.dead:
        return [
            Verdict("boots alone", False, case.facts.dead),
            *(Verdict(name, False, "") for name in list(wanted)[1:]),
        ]
    return [Verdict(name, *check(case)) for name, check in wanted.items()]


def table(columns: dict[str, list[Verdict]]) -> list[str]:
    """A line for each promise, a column for each PC."""
    names = list(dict.fromkeys(verdict.name for verdicts in columns.values() for verdict in verdicts))
    cells = {pc: {verdict.name: "yes" if verdict.holds else "NO" for verdict in found} for pc, found in columns.items()}
    first = max(map(len, names))
    lines = ["  ".join([" " * first, *(f"{pc:>8}" for pc in columns)])]
    lines += ["  ".join([f"{name:{first}}", *(f"{cells[pc].get(name, '-'):>8}" for pc in columns)]) for name in names]
    broken = [
        (pc, verdict) for pc, found in columns.items() for verdict in found if not verdict.holds and verdict.value
    ]
    return [*lines, *(f"{pc}: {verdict.name}: NO, {verdict.value}" for pc, verdict in broken)]


def _boots(case: Case) -> tuple[bool, str]:
    return True, f"{case.facts.one('system')} in {case.facts.one('took')} s"


def _target(case: Case) -> tuple[bool, str]:
    return case.facts.one(
        "default"
    ) == "multi-user.target active", f"{case.facts.one('default')}, {case.facts.one('state')}"


def _failed(case: Case) -> tuple[bool, str]:
    failed = [line.split()[0] for line in case.facts.all("failed")]
    return not failed, ", ".join(failed)


def _waited(case: Case) -> tuple[bool, str]:
    lines = (*case.facts.all("waited"), *case.facts.console)
    waited = [*filter(_WAITED.search, lines), *case.facts.all("pending")]
    return not waited, "; ".join(dict.fromkeys(line.strip() for line in waited))


def _swap(case: Case) -> tuple[bool, str]:
    swaps = [line.split()[0] for line in case.facts.all("swap")]
    return bool(swaps) == case.swap, ", ".join(swaps) or "none"


def _esp(case: Case) -> tuple[bool, str]:
    mounted = case.facts.one("esp")
    return bool(mounted) == case.esp, mounted or "not mounted"


def _leased(case: Case) -> tuple[bool, str]:
    address = case.facts.address
    return address in {lease.address for lease in case.facts.leases}, address or "no address"


def _grown(case: Case) -> tuple[bool, str]:
    size, block = int(case.facts.one("root-blocks")), int(case.facts.one("root-block-size"))
    partition = int(case.facts.one("partition-size")) * 512
    return partition - block < size * block <= partition, f"{size * block >> 20} of {partition >> 20} MiB"


def _name(case: Case) -> tuple[bool, str]:
    """The one that it is given with its address."""
    name, line = case.facts.one("host-name"), case.facts.one("hosts-line")
    return name == case.facts.name and name in line.split(), f"{name}; {line}"


def _machine_id(case: Case) -> tuple[bool, str]:
    own, others = case.facts.one("machine-id"), {facts.one("machine-id") for facts in _others(case)}
    return re.fullmatch(r"[0-9a-f]{32}", own) is not None and own not in others, own


def _bus_id(case: Case) -> tuple[bool, str]:
    return case.facts.one("bus-id") == case.facts.one("machine-id"), case.facts.one("bus-id")


def _keys(case: Case) -> tuple[bool, str]:
    foreign = set[str]().union(*(facts.keys for facts in _others(case)))
    right = bool(case.facts.keys) and not case.facts.keys & foreign and case.facts.one("ssh") == "active"
    return right, f"{len(case.facts.keys)} keys, {len(case.facts.keys & foreign)} of them another's"


def _lease_of_its_own(case: Case) -> tuple[bool, str]:
    taken = {facts.address for facts in case.others}
    return bool(case.facts.address) and case.facts.address not in taken, case.facts.address


def _day(case: Case) -> tuple[bool, str]:
    return list(case.facts.day) == DAY, ", ".join(case.facts.day)


def _others(case: Case) -> list[Facts]:
    return [*case.others, *([case.model] if case.model else [])]


_OF_ALL: Final[dict[str, Check]] = {
    "boots alone": _boots,
    "default target reached": _target,
    "no failed unit": _failed,
    "no device waited for": _waited,
    "its own swap space": _swap,
    "its own ESP": _esp,
    "address by DHCP": _leased,
    "root as large as partition": _grown,
    "D-Bus has its machine id": _bus_id,
}
_OF_CLONES: Final[dict[str, Check]] = {
    "own name": _name,
    "own machine id": _machine_id,
    "own SSH keys": _keys,
    "lease of its own": _lease_of_its_own,
}
_OF_AGENTS: Final[dict[str, Check]] = {"ogCore is told of its day": _day}


def is_of_its_model(model: Model, facts: Facts) -> bool:
    """That it is this very system that has started, and nothing that was there before."""
    return facts.one("root").split()[-1:] == [model.root.uuid]
