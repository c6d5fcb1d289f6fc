"""The language of faults: what it can say, and how it answers to what it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import LabError
from simulator.faults import KINDS, Fault, FaultFile, Point, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("repository:down", Fault("repository", "down")),
        ("repository:status=503", Fault("repository", "status", value=503)),
        ("repository:slow=10MiB", Fault("repository", "slow", value=10 << 20)),
        ("repository:other=etag", Fault("repository", "other", value="etag")),
        ("repository:cut@50%", Fault("repository", "cut", Point(share=50))),
        ("disk:full@1MiB", Fault("disk", "full", Point(offset=1 << 20))),
        ("disk:eio@4097=2", Fault("disk", "eio", Point(offset=4097), 2)),
        ("disk:flip@0", Fault("disk", "flip", Point())),
    ],
)
def test_a_fault(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.where}:{kind.what}")
def test_every_kind_can_be_written(kind: object) -> None:
    assert isinstance(kind, type(KINDS[0]))
    value = kind.words[0] if kind.words else kind.least
    text = f"{kind.where}:{kind.what}" + "@7" * (kind.at != "no") + f"={value}" * (kind.value != "no")
    assert parse_fault(text).what == kind.what
    assert kind.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "WHERE:WHAT"),
        ("disk", "WHERE:WHAT"),
        ("moon:full", "repository, disk"),
        ("disk:melted", "full, eio, gone"),
        ("disk:full", "@POINT"),
        ("repository:down@5", "takes no @POINT"),
        ("repository:status", "=VALUE"),
        ("repository:status=200", "between 400 and 599"),
        ("repository:down=1", "takes no =VALUE"),
        ("repository:cut@101%", "50%"),
        ("repository:cut@-1", "50%"),
        ("repository:cut@1TiB", "MiB"),
        ("repository:slow=0", "between 1"),
        ("repository:other=colour", "file, etag, date, length"),
    ],
)
def test_what_cannot_be_understood(text: str, told: str) -> None:
    with pytest.raises(LabError) as failure:
        parse_fault(text)
    assert told in failure.value.message + failure.value.hint


def test_places() -> None:
    assert [Point(share=share).within(1000) for share in (0, 50, 100)] == [0, 500, 1000]
    assert Point(offset=7).within(1000) == 7


def test_a_file_that_changes(tmp_path: Path) -> None:
    faults = FaultFile(tmp_path / "faults")
    assert faults() == ()
    faults.write([parse_fault("disk:readonly"), parse_fault("repository:cut@50%")])
    assert [str(fault) for fault in faults()] == ["disk:readonly", "repository:cut@50%"]
    faults.write([])
    assert faults() == ()
    (tmp_path / "faults").write_text("disk:readonly\n\nnonsense\n")
    with pytest.raises(LabError, match="nonsense"):
        faults()
