"""Each promise can be broken: what a model, a clone that nobody made ready, and one that is ready have said."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from tests.machine.checks import Case, Facts, judged, table, told
from tests.machine.network import Lease

REPORTS: Final = Path(__file__).parent / "reports"


def facts(name: str, report: str, address: str = "10.77.0.138") -> Facts:
    return Facts(name, told(report), [], [Lease(1, "52:54:00:0a:00:01", address, name, "ff:e2")])


def saved(name: str) -> str:
    return (REPORTS / f"{name}.txt").read_text(encoding="utf-8")


MODEL: Final = facts("model-12", saved("model"))
OTHER: Final = replace(facts("pc2", saved("ready").replace("pc1", "pc2")), told={})


def broken(case: Case) -> set[str]:
    return {verdict.name for verdict in judged(case) if not verdict.holds}


def test_a_model_keeps_its_promises() -> None:
    assert broken(Case(facts=MODEL, swap=True)) == set()


def test_a_clone_that_is_ready_keeps_them() -> None:
    ready = facts("pc1", saved("ready"), "10.77.0.188")
    assert broken(Case(facts=ready, model=MODEL, others=[OTHER], swap=True)) == set()


def test_a_clone_that_nobody_made_ready() -> None:
    clone = facts("pc1", saved("unfinished"))
    assert broken(Case(facts=clone, model=MODEL, others=[clone], swap=True)) == {
        "default target reached",
        "no device waited for",
        "its own swap space",
        "root as large as partition",
        "own name",
        "own machine id",
        "own SSH keys",
        "lease of its own",
    }


@pytest.mark.parametrize(
    ("promise", "old", "new"),
    [
        ("default target reached", "multi-user.target active", "multi-user.target inactive"),
        ("no failed unit", "end\t.", "failed\tssh.service loaded failed failed OpenBSD Secure Shell server\nend\t."),
        ("no device waited for", "end\t.", "waited\tDependency failed for swap.target - Swaps.\nend\t."),
        ("no device waited for", "end\t.", "pending\t101 dev-vda9.device start running\nend\t."),
        ("its own swap space", "swap\t", "none\t"),
        ("its own ESP", "end\t.", "esp\t/dev/vda1\nend\t."),
        ("address by DHCP", "10.77.0.188", "10.77.0.189"),
        ("root as large as partition", "partition-size\t", "partition-size\t1"),
        ("D-Bus has its machine id", "bus-id\t", "bus-id\t0"),
        ("own name", "host-name\tpc1", "host-name\tlocalhost"),
        ("own name", "pc1.classroom.example pc1", "model-12.classroom.example model-12"),
        ("own SSH keys", "ssh\tactive", "ssh\tinactive"),
    ],
)
def test_one_promise_is_broken(promise: str, old: str, new: str) -> None:
    report = saved("ready")
    assert old in report
    clone = facts("pc1", report.replace(old, new), "10.77.0.188")
    assert broken(Case(facts=clone, model=MODEL, others=[OTHER], swap=True)) == {promise}


def test_an_agent_tells_of_the_day() -> None:
    ready = replace(facts("pc1", saved("ready"), "10.77.0.188"), day=["linux", "linux-session", "linux", "off"])
    assert broken(Case(facts=ready, model=MODEL, others=[OTHER], swap=True, agent=True)) == set()


@pytest.mark.parametrize(
    "day",
    [
        [],
        ["the state linux at ogCore has not come; last was: pc1 login:"],
        ["linux", "linux-session", "linux", "it is off; last was: Power down"],
        ["linux", "linux-session", "linux", "off", "its end has not come; last was: Power down"],
    ],
)
def test_an_agent_that_does_not_tell_of_it(day: list[str]) -> None:
    clone = replace(facts("pc1", saved("ready"), "10.77.0.188"), day=day)
    assert broken(Case(facts=clone, model=MODEL, others=[OTHER], swap=True, agent=True)) == {
        "ogCore is told of its day"
    }


def test_one_that_does_not_start() -> None:
    dead = Facts("pc1", {}, [], [], "No bootable device.")
    verdicts = judged(Case(facts=dead, model=MODEL, others=[OTHER]))
    assert not any(verdict.holds for verdict in verdicts)
    assert [line for line in table({"pc1": verdicts}) if "bootable" in line] == [
        "pc1: boots alone: NO, No bootable device."
    ]
