"""The number of a loop device that tests include, on whatever machine they run."""

from __future__ import annotations

from ogagent.disk.excluded import Excluded
from ogagent.disk.kernel import find_disks


def first_included() -> int:
    """That of the first one in ``disks.include``: the machine's own disks come before, also those that are excluded."""
    return len(find_disks([], Excluded())) + 1
