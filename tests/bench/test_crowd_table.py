"""Which rows there are, how they are told, and what is reckoned of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulator.bench import campus
from simulator.bench.campus import MANNERS, Campus, reckon, repositories_for
from simulator.bench.crowd.aims import aims
from simulator.bench.crowd.cases import METHODS, TROUBLES, Case, Method, Trouble, cases
from simulator.bench.crowd.command import Result, with_more
from simulator.bench.crowd.room import Row
from simulator.bench.crowd.table import headings, is_void, line, notes
from simulator.cli import main

MIB = 1 << 20
MEASURED = Path(campus.__file__).with_name("crowd-measured.json")
WITHIN = 1.25
"""A prediction may be so many times what was measured, or the other way round."""


def row(case: Case, *seconds: float, odd_s: float | None = None, idle: float = 50.0, failed: int = 0) -> Row:
    return Row(
        case=case, seconds=list(seconds), odd_s=odd_s, sent=300 * MIB, ranges=[0, MIB, 100 * MIB],
        agent_rss=100 * MIB, engine_rss=0, idle=idle, failed=failed, left={"after 3 s: it is gone": 2},
    )  # fmt: skip


ALONE = row(Case("unicast", 1), 50.0)


def names(methods: tuple[Method, ...], clients: tuple[int, ...], *troubles: Trouble) -> list[str]:
    return [case.name for case in cases(methods, clients, troubles)]


def test_who_is_alone_comes_first() -> None:
    assert names(("uftp",), (4, 16), "none") == ["unicast, 1", "uftp, 4", "uftp, 16"]
    assert names(("unicast",), (1, 4), "none") == ["unicast, 1", "unicast, 4"]


def test_troubles_come_in_the_smallest_room() -> None:
    found = names(("p2p",), (16, 4), "none", "late")
    assert found == ["unicast, 1", "p2p, 16", "p2p, 4", "p2p, 4, one that comes at 50 %"]
    assert names(("p2p",), (1,), "late") == ["unicast, 1"]


@pytest.mark.parametrize(
    ("method", "never"),
    [
        ("unicast", {"sender", "switch", "changed"}),
        ("udpcast", {"changed"}),
        ("uftp", {"changed"}),
        ("p2p", {"switch"}),
    ],
)
def test_what_can_happen_to_whom(method: Method, never: set[Trouble]) -> None:
    found = {case.trouble for case in cases((method,), (4,), TROUBLES)}
    assert found == set(TROUBLES) - never


def test_more_by_unicast_are_reckoned() -> None:
    assert [case.reckoned for case in cases(("unicast", "p2p"), (4, 32), ("none",))] == [
        False,
        False,
        True,
        False,
        False,
    ]
    found = with_more(Case("unicast", 32), [ALONE, row(Case("unicast", 4), 100.0, 200.0)])
    assert (found.case.clients, found.seconds, found.sent) == (32, [800.0, 1600.0], 8 * 300 * MIB)


def test_times_are_told_against_who_was_alone() -> None:
    case = Case("uftp", 4, "slow")
    told = line(row(case, 55.0, 60.0, 75.0, odd_s=200.0), ALONE, 100 * MIB, plain=True)
    assert told == (
        "| uftp, 4, one at a quarter of the link | 1.10 | 1.20 | 1.50 | 4.00 | 3.00 | 1.0 | 100.0 | 100 |  | 50 |  |"
    )
    assert told.count("|") == headings(plain=True).splitlines()[0].count("|")


def test_what_is_remarked() -> None:
    busy = row(Case("unicast", 32), 50.0, idle=24.9, failed=2)
    assert is_void(busy)
    assert not is_void(ALONE)
    assert line(busy, ALONE, MIB, plain=False).endswith("reckoned; void: the processor was busy; 2 failed")
    assert line(ALONE, ALONE, MIB, plain=False).endswith("1.00 is 50.0 s")
    nobody = line(row(Case("p2p", 4), failed=4), ALONE, 100 * MIB, plain=True)
    assert nobody.startswith("| p2p, 4 |  |  |  |  | 3.00 |")
    assert nobody.endswith("| 4 failed |")
    assert list(notes([ALONE, busy])) == ["unicast, 1: 2 left after 3 s: it is gone"]


def test_what_was_aimed_at() -> None:
    rows = [
        ALONE,
        row(Case("uftp", 4), 52.0, 55.0),
        row(Case("uftp", 4, "slow"), 55.0, 57.0, odd_s=221.0),
        row(Case("uftp", 4, "dead"), 55.5),
        row(Case("p2p", 4, "late"), 90.0, odd_s=60.0),
        row(Case("p2p", 4), 86.0, idle=10.0),
        row(Case("unicast", 32), 1600.0),
    ]
    found = aims(rows, 290 * MIB)
    assert [(aim.name, aim.reached) for aim in found] == [
        ("uftp, 4, last client against one alone", True),
        ("uftp, 4, copies that the repository sends", True),
        ("uftp, 4, of the image by Range at most", False),
        ("uftp, 4, one at a quarter of the link, itself, against its link", False),
        ("uftp, 4, one at a quarter of the link, the others against without", False),
        ("uftp, 4, one without power from 40 % on, the others later by", True),
        ("p2p, 4, one that comes at 50 %, itself, against one alone", True),
        ("memory of the agent", True),
        ("memory of an engine", True),
    ]


def test_nothing_is_aimed_at_where_the_processor_set_the_pace() -> None:
    assert aims([row(Case("unicast", 1), 50.0, idle=10.0), row(Case("uftp", 4), 52.0)], MIB) == []


# --- on paper -----------------------------------------------------------------------------------------------------


def room(pcs: int, mbit: float = 16, image: int = 160 * MIB) -> Campus:
    """As the benchmark has it: one link for each, the repository's as well."""
    return Campus(rooms=1, pcs=pcs, image=image, link=mbit * 1e6, uplink=1e12, server=mbit * 1e6)


def test_one_alone_takes_what_its_link_takes() -> None:
    for method in METHODS:
        assert reckon(method, room(1)).seconds >= 160 * MIB * 8 / 16e6
    assert reckon("unicast", room(1)).seconds == pytest.approx(160 * MIB * 8 / 16e6, rel=0.1)


def test_by_unicast_each_takes_its_share() -> None:
    assert reckon("unicast", room(40)).seconds == pytest.approx(40 * reckon("unicast", room(1)).seconds)
    assert reckon("unicast", room(40)).sent == 40 * 160 * MIB


def test_by_multicast_it_does_not_matter_how_many_they_are() -> None:
    few, many = reckon("uftp", room(4)), reckon("uftp", room(400))
    assert few.seconds < many.seconds < 1.2 * few.seconds
    assert few.sent == many.sent


def test_a_hundred_rooms_need_more_repositories_than_one() -> None:
    many = Campus(rooms=100, pcs=40, image=10**10, near=True)
    for method in METHODS:
        needed = repositories_for(method, many)
        assert needed > 1
        one = reckon(method, msgspec.structs.replace(many, rooms=1))
        found = reckon(method, msgspec.structs.replace(many, repositories=needed))
        assert found.seconds <= 1.1 * one.seconds
        assert found.sent == pytest.approx(100 * one.sent)
    assert repositories_for("uftp", msgspec.structs.replace(many, routed=True)) == 1


def test_peers_who_do_not_mind_rooms_fill_the_uplinks() -> None:
    far = Campus(rooms=100, pcs=40, image=10**10)
    near = msgspec.structs.replace(far, near=True)
    assert reckon("p2p", far).bound == "the rooms' uplinks"
    assert reckon("p2p", far).into_room > 10 * reckon("p2p", near).into_room
    assert reckon("p2p", far).sent < reckon("p2p", near).sent


def test_only_peers_ask_a_tracker() -> None:
    campus = Campus(rooms=10, pcs=40, image=10**10)
    assert [method for method in METHODS if reckon(method, campus).announced] == ["p2p"]
    assert (reckon("p2p", campus).trackers, reckon("uftp", campus).trackers) == (1, 0)
    assert reckon("p2p", campus).announced == pytest.approx(400 / 15, rel=0.2)


def test_what_was_measured_is_predicted() -> None:
    result = msgspec.json.decode(MEASURED.read_bytes(), type=Result)
    alone = result.rows[0].seconds[0]
    measured = [each for each in result.rows if each.case.trouble == "none" and not each.case.reckoned]
    assert {each.case.method for each in measured if each.case.clients == 4} == set(MANNERS)
    for each in measured:
        here = room(each.case.clients, result.mbit, result.image)
        need = reckon(each.case.method, here)
        assert 1 / WITHIN < need.seconds / alone / (each.seconds[-1] / alone) < WITHIN, each.case.name
        assert 1 / WITHIN < need.sent / each.sent < WITHIN, each.case.name


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "campus", "--rooms", "3", "--pcs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "3 rooms of 2 PCs" in printed
    assert all(f"\n| {method} |" in printed for method in METHODS)


@pytest.mark.parametrize("words", [["--clients", "4,x"], ["--only", "carrier-pigeon"], ["--rate", "0"]])
def test_what_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "crowd", *words])
    assert words[1].rpartition(",")[2] in capsys.readouterr().err
