"""Which partitions of a table are their own: by hand, and for any table at all."""

from __future__ import annotations

from itertools import permutations
from operator import attrgetter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from ogagent.disk.layout import BrokenChain, Layout, Span, own_spans, span_of
from ogagent.model.disk import TableKind

MIB = 1 << 20
SIZE = 100 * MIB


class Row(Struct, frozen=True):
    number: int
    start: int
    size: int
    type: str = "83"


def row(number: int, first: int, end: int, kind: str = "83") -> Row:
    return Row(number, first * MIB, (end - first) * MIB, kind)


def problems(kind: TableKind, *rows: Row, links: tuple[int, ...] = (), chain: BrokenChain = "") -> dict[int, str]:
    own = own_spans(kind, SIZE, 512, usable=Span(34 * 512, SIZE - 33 * 512), links=links)
    layout = Layout(kind=kind, size=SIZE, entries=rows, own=own, chain=chain)
    return {each.number: layout.problem_of(each) for each in rows}


def shares(number: int) -> str:
    return f"it shares bytes with partition {number}"


OVER_TABLE = "it lies over the partition table itself"
BEYOND = f"it reaches beyond the end of the disk, which has {SIZE} bytes"
OUTSIDE = "it does not lie inside the extended partition"


def test_one_beside_the_other() -> None:
    assert set(problems("gpt", row(1, 1, 20), row(2, 20, 99)).values()) == {""}
    assert set(problems("msdos", row(1, 1, 20), row(2, 20, 100)).values()) == {""}


@pytest.mark.parametrize("kind", ["gpt", "msdos"])
def test_a_byte_in_common_is_one_too_many(kind: TableKind) -> None:
    one, other = Row(1, MIB, 9 * MIB + 1), row(2, 10, 20)
    assert problems(kind, one, other, row(3, 20, 30)) == {1: shares(2), 2: shares(1), 3: ""}
    assert problems(kind, row(1, 1, 30), row(2, 10, 20)) == {1: shares(2), 2: shares(1)}
    assert problems(kind, row(1, 1, 9), row(2, 1, 9)) == {1: shares(2), 2: shares(1)}


@pytest.mark.parametrize("kind", ["gpt", "msdos"])
def test_no_byte_lies_beyond_the_disk(kind: TableKind) -> None:
    last = SIZE if kind == "msdos" else SIZE - 33 * 512
    assert problems(kind, Row(1, MIB, last - MIB)) == {1: ""}
    assert problems(kind, Row(1, MIB, SIZE - MIB + 1)) == {1: BEYOND}
    assert problems(kind, Row(1, 1 << 70, MIB)) == {1: BEYOND}


@pytest.mark.parametrize("size", [0, -1, -MIB])
def test_what_has_no_room_is_no_place_and_in_nobodys_way(size: int) -> None:
    assert problems("gpt", row(1, 1, 20), Row(2, 10 * MIB, size)) == {1: "", 2: "it ends before it begins"}


@pytest.mark.parametrize(
    ("first", "problem"), [(0, OVER_TABLE), (512, OVER_TABLE), (33 * 512, OVER_TABLE), (34 * 512, "")]
)
def test_a_gpt_keeps_its_first_sectors(first: int, problem: str) -> None:
    assert problems("gpt", Row(1, first, MIB)) == {1: problem}


@pytest.mark.parametrize(("end", "problem"), [(SIZE, OVER_TABLE), (SIZE - 32 * 512, OVER_TABLE), (SIZE - 33 * 512, "")])
def test_a_gpt_keeps_its_copy(end: int, problem: str) -> None:
    assert problems("gpt", Row(1, 90 * MIB, end - 90 * MIB)) == {1: problem}


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_a_header_that_leaves_too_much_is_not_believed(sector_size: int) -> None:
    head, copy = own_spans("gpt", SIZE, sector_size, usable=Span(0, 1 << 60), links=())
    assert (head.end, copy.start) == (2 * sector_size + 16384, SIZE - sector_size - 16384)
    head, copy = own_spans("gpt", SIZE, sector_size, usable=Span(MIB, 2 * MIB), links=())
    assert (head, copy) == (Span(0, MIB), Span(2 * MIB, SIZE))


def test_an_msdos_table_keeps_one_sector() -> None:
    assert problems("msdos", Row(1, 0, MIB), row(2, 1, 9)) == {1: OVER_TABLE, 2: ""}
    assert problems("msdos", Row(1, 512, MIB)) == {1: ""}


EXTENDED = row(2, 10, 50, "f")


def test_a_logical_one_lies_inside_the_extended_one() -> None:
    links = (10 * MIB, 20 * MIB)
    assert problems("msdos", EXTENDED, row(5, 11, 20), row(6, 21, 50), links=links) == {2: "", 5: "", 6: ""}
    assert problems("msdos", EXTENDED, row(5, 40, 51), links=links)[5] == OUTSIDE
    assert problems("msdos", EXTENDED, row(5, 60, 70), links=links) == {2: "", 5: OUTSIDE}
    assert problems("msdos", row(5, 60, 70), links=links) == {5: OUTSIDE}


def test_a_logical_one_of_the_extended_ones_type_lies_inside_no_more_than_any_other() -> None:
    assert problems("msdos", row(5, 60, 70, "5")) == {5: OUTSIDE}
    assert problems("msdos", EXTENDED, row(5, 11, 30, "5"), row(6, 12, 20)) == {2: "", 5: shares(6), 6: shares(5)}
    assert problems("msdos", EXTENDED, row(5, 10, 50, "5"), links=(10 * MIB,)) == {2: "", 5: OVER_TABLE}


@pytest.mark.parametrize("kind", ["5", "f", "F", "85"])
def test_a_primary_one_lies_outside_of_it(kind: str) -> None:
    extended = row(2, 10, 50, kind)
    assert problems("msdos", row(1, 1, 11), extended, row(5, 12, 20)) == {1: shares(2), 2: shares(1), 5: ""}
    assert problems("msdos", row(1, 30, 40), extended) == {1: shares(2), 2: shares(1)}


def test_a_logical_one_lies_over_no_link() -> None:
    own, other = problems("msdos", EXTENDED, row(5, 10, 19), row(6, 20, 30), links=(10 * MIB, 19 * MIB)), OVER_TABLE
    assert own == {2: "", 5: other, 6: ""}
    assert problems("msdos", EXTENDED, row(5, 11, 21), row(6, 22, 30), links=(10 * MIB, 20 * MIB))[5] == OVER_TABLE


@pytest.mark.parametrize("chain", ["circle", "unsigned", "outside", "crowded"])
def test_a_broken_chain_spoils_what_hangs_on_it_and_nothing_else(chain: BrokenChain) -> None:
    found = problems("msdos", row(1, 1, 9), EXTENDED, row(5, 11, 20), links=(10 * MIB,), chain=chain)
    assert found[1] == ""
    assert "chain of logical partitions" in found[2]
    assert found[5] == found[2]


def test_five_is_logical_on_msdos_only() -> None:
    assert problems("gpt", row(5, 1, 9)) == {5: ""}


def sectors(row: Row) -> set[int]:
    return set(range(row.start // 512, (row.start + row.size) // 512))


@given(
    st.sampled_from(["gpt", "msdos"]),
    st.lists(st.tuples(st.integers(-2, 60), st.integers(-2, 40), st.sampled_from(["83", "5", "ca"])), max_size=9),
)
@example("msdos", [(0, 0, "83"), (0, 0, "83"), (0, 0, "83"), (0, 1, "5"), (0, 1, "5")])
def test_any_table(kind: TableKind, drawn: list[tuple[int, int, str]]) -> None:
    """What is sound shares no byte with any other, but for the extended one around it, and lies on the disk."""
    rows = [Row(number, start * 512, size * 512, code) for number, (start, size, code) in enumerate(drawn, start=1)]
    own = own_spans(kind, 60 * 512, 512, usable=Span(34 * 512, 60 * 512), links=())
    layout = Layout(kind=kind, size=60 * 512, entries=rows, own=own)
    sound = [each for each in rows if not layout.problem_of(each)]
    extended = [each for each in rows if kind == "msdos" and each.number < 5 and each.type == "5"]
    for each in sound:
        assert 0 <= each.start < each.start + each.size <= 60 * 512
        assert kind == "gpt" or each.start or each in extended
        assert kind == "gpt" or each.number < 5 or any(span_of(other).holds(span_of(each)) for other in extended)
    for one, other in permutations(rows, 2):
        if sectors(one) & sectors(other) and one in sound:
            outer, inner = sorted((one, other), key=attrgetter("number"))
            assert outer in extended
            assert inner.number >= 5
            assert span_of(outer).holds(span_of(inner))
