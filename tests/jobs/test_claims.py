"""Who may have what while others hold something."""

from __future__ import annotations

import pytest

from ogagent.errors import DiskBusy, MachineBusy, Refusal
from ogagent.jobs.claims import refuse_claimed
from ogagent.jobs.work import Claims

NOTHING = Claims()
FIRST, SECOND = Claims(disks={"serial:1": 1}), Claims(disks={"serial:2": 2})
MACHINE = Claims(machine=True)


@pytest.mark.parametrize(
    ("wanted", "held", "refusal"),
    [
        (FIRST, NOTHING, None),
        (FIRST, SECOND, None),
        (FIRST, FIRST, DiskBusy),
        (FIRST, MACHINE, MachineBusy),
        (MACHINE, FIRST, MachineBusy),
        (MACHINE, MACHINE, MachineBusy),
        (MACHINE, NOTHING, None),
        (NOTHING, MACHINE, None),
        (NOTHING, FIRST, None),
    ],
)
def test_what_is_held_is_refused(wanted: Claims, held: Claims, refusal: type[Refusal] | None) -> None:
    others = [("A-00000001", NOTHING), ("B-00000002", held)]
    if refusal is None:
        refuse_claimed(wanted, others)
        return
    with pytest.raises(refusal) as caught:
        refuse_claimed(wanted, others)
    assert caught.value.job_id == "B-00000002"
    assert "B-00000002" in caught.value.message


def test_a_disk_is_itself_whatever_its_number() -> None:
    with pytest.raises(DiskBusy, match="disk 2"):
        refuse_claimed(Claims(disks={"serial:1": 2}), [("A-00000001", FIRST)])
    refuse_claimed(Claims(disks={"serial:new": 1}), [("A-00000001", FIRST)])
