"""What ogCore is told, to the letter."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.functions.restore import KIND
from ogagent.model.disk import UNREADABLE, Disk, Inventory, Partition
from ogagent.model.job import ByteCounts, Job, JobError, JobTarget, Phase, State
from ogagent.model.report import configuration, final_report, progress_report

GIB: Final = 1 << 30
LINUX: Final = Partition(
    partition=2, device="/dev/sda2", start=GIB, size=50 * GIB, code="8300", filesystem="ext4", os="Ubuntu", used=41
)
DISK: Final = Disk(
    disk=1,
    device="/dev/sda",
    identity="wwn-1",
    model="Disk",
    size=100 * GIB + 1023,
    sector_size=512,
    table="gpt",
    partitions=(LINUX,),
)
JOB: Final = Job(
    job_id="RestaurarImagen-dfa42888",
    function="RestaurarImagen",
    state=State.RUNNING,
    phase=Phase.READING_BACK,
    progress=41,
    bytes=ByteCounts(image=100, received=90, total=80, written=70, read_back=60),
    rate=312000000,
    eta_s=12,
    retries=1,
    request={"dsk": "1", "par": "2", "ifs": "7", "idi": "12", "ids": "55", "nci": "x", "nfn": "RestaurarImagen"},
    target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="wwn-1"),
    created="2026-11-24T10:00:00.000Z",
)


def rows_of(*partitions: Partition, **changes: Any) -> list[dict[str, str]]:
    return configuration(Inventory(disks=(replace(DISK, partitions=partitions, **changes),)))


def test_a_progress_report() -> None:
    assert json.loads(msgspec.json.encode(progress_report(JOB))) == {
        "job_id": "RestaurarImagen-dfa42888",
        "nfn": "RestaurarImagen",
        "ids": "55",
        "progress": 41,
        "phase": "reading-back",
        "bytes": {"image": 100, "received": 90, "total": 80, "written": 70, "reused": 0, "read_back": 60},
        "rate": 312000000,
        "eta_s": 12,
    }


def test_the_final_report_of_a_success() -> None:
    job = replace(JOB, state=State.SUCCEEDED, phase=None, progress=100)
    report = final_report(job, KIND, Inventory(disks=(DISK,)), {})
    assert report == {
        "job_id": "RestaurarImagen-dfa42888",
        "nfn": "RESPUESTA_RestaurarImagen",
        "ids": "55",
        "idi": "12",
        "dsk": "1",
        "par": "2",
        "ifs": "7",
        "res": "1",
        "der": "",
        "cfg": [
            {
                "disk": "1",
                "par": "0",
                "cpt": "2",
                "fsi": "",
                "soi": "",
                "tam": "104857600",
                "uso": "0",
                "identity": DISK.identity,
            },
            {"disk": "1", "par": "2", "cpt": "8300", "fsi": "EXT4", "soi": "Ubuntu", "tam": "52428800", "uso": "41"},
        ],
        "progress": 100,
        "event_id": report["event_id"],
    }


def test_a_job_ends_in_one_event_whoever_reports_it() -> None:
    job = replace(JOB, state=State.SUCCEEDED, phase=None, progress=100)
    others = (replace(job, job_id="RestaurarImagen-00000000"), replace(job, created="2026-11-24T11:00:00.000Z"))
    again, *different = (final_report(each, KIND, Inventory(), {})["event_id"] for each in (job, *others))
    assert final_report(job, KIND, Inventory(disks=(DISK,)), {})["event_id"] == again
    assert len({again, *different}) == 3


@pytest.mark.parametrize(
    ("state", "error", "der"),
    [
        (
            State.FAILED,
            JobError(
                number=30,
                code="image-too-large",
                message="The image needs 8589934592 bytes, partition 2 of disk 1 has 4294967296",
                hint="not for ogCore",
            ),
            "030-The image needs 8589934592 bytes, partition 2 of disk 1 has 4294967296",
        ),
        (State.CANCELLED, JobError(number=0, code="cancelled", message="Cancelled"), "000-Cancelled"),
        (State.INTERRUPTED, JobError(number=93, code="interrupted", message="Gone"), "093-Gone"),
    ],
)
def test_every_other_end_is_a_failure(state: State, error: JobError, der: str) -> None:
    report = final_report(replace(JOB, state=state, error=error), KIND, Inventory(), {})
    assert (report["res"], report["der"], report["progress"]) == ("2", der, 41)


@pytest.mark.parametrize(("table", "code"), [("msdos", "1"), ("gpt", "2")])
def test_the_row_of_a_disk_has_its_table_for_a_code(table: str, code: str) -> None:
    assert [(row["par"], row["cpt"]) for row in rows_of(table=table)] == [("0", code)]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"filesystem": "ext4"}, "EXT4"),
        ({"filesystem": "ntfs"}, "NTFS"),
        ({"filesystem": ""}, "EMPTY"),
        ({"filesystem": "ext4", "cache": True}, "CACHE"),
        ({"filesystem": "ext4", "incomplete": True}, "INCOMPLETE"),
        ({"filesystem": "", "incomplete": True}, "INCOMPLETE"),
    ],
)
def test_names_of_file_systems(changes: dict[str, Any], name: str) -> None:
    assert rows_of(replace(LINUX, **changes))[1]["fsi"] == name


def test_what_is_used_of_a_partition_may_be_unknown() -> None:
    assert rows_of(replace(LINUX, used=None))[1]["uso"] == "0"


def test_a_disk_that_cannot_be_read_has_no_rows() -> None:
    sick = replace(DISK, disk=2, table=None, partitions=(), problem=f"{UNREADABLE}: it does not answer")
    other = replace(DISK, disk=3, table=None, partitions=(), problem="it holds a file system (xfs) on the whole disk")
    rows = configuration(Inventory(disks=(DISK, sick, other)))
    assert [(row["disk"], row["par"]) for row in rows] == [("1", "0"), ("1", "2"), ("3", "0")]
    for nothing in (Inventory(), Inventory(disks=(sick,))):
        assert "cfg" not in final_report(JOB, KIND, nothing, {})


def test_rows_follow_the_order_of_disks_and_partitions() -> None:
    disks = tuple(
        replace(DISK, disk=number, partitions=tuple(replace(LINUX, partition=each) for each in (1, 5)))
        for number in (1, 2)
    )
    rows = configuration(Inventory(disks=disks))
    assert [(row["disk"], row["par"]) for row in rows] == [(disk, par) for disk in "12" for par in "015"]
    assert all(isinstance(value, str) for row in rows for value in row.values())
    for row in rows:
        own = ("identity",) if row["par"] == "0" else ()
        assert tuple(row) == ("disk", "par", "tam", "uso", "cpt", "fsi", "soi", *own)
