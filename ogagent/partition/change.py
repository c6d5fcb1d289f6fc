"""From one partition table to another, in steps of which one single sector decides.

What a step writes is not in force: it lies where the table that is does not look. The deciding step writes one sector,
which a disk writes whole or not at all. So the table is at each moment the old or the new one, for the kernel and the
firmware as for any tool, and what lies on the disk says whether the rest is to be done or to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from ogagent.disk.machine import Device
from ogagent.errors import ReadBackDiffers

Read = Callable[[int, int], bytes]
"""Bytes of the disk, by offset and length."""
Settled = Literal["old", "new", "foreign"]

_SECTOR: Final = 512
"""The smallest piece that a disk writes whole or not at all."""


class Piece(Struct, frozen=True, kw_only=True):
    offset: int
    old: bytes
    new: bytes


class TableChange(Struct, frozen=True, kw_only=True):
    """Each step is on the medium before the next begins. ``decides`` is the number of the one that does, which has one
    piece, and ``before`` what this piece was before anything was wiped. No steps: the table stays as it is.

    ``stale`` are sectors of the old table where something begins anew: what is there next is not the table's.
    """

    steps: tuple[tuple[Piece, ...], ...] = ()
    decides: int = 0
    before: bytes = b""
    stale: tuple[Piece, ...] = ()

    def write(self, device: Device) -> None:
        """Raises WriteFailed; ReadBackDiffers when something has not arrived, before anything depends on it."""
        for step in self.steps:
            _write(device, {piece.offset: piece.new for piece in step})
        self._clear(device)

    def settle(self, device: Device) -> Settled:
        """Completes or undoes what an agent that has died began; says which table the disk has now.

        What is neither as it was nor as it was meant is somebody else's, and nothing is touched then.
        """
        if not self.steps:
            return "new"
        (deciding,) = self.steps[self.decides]
        if all(_is_ours(read(device, at, len(versions[0])), versions) for at, versions in self._decided().items()):
            for step in self.steps[self.decides + 1 :]:
                _write(device, {piece.offset: piece.new for piece in step})
            self._clear(device)
            return "new"
        if read(device, deciding.offset, len(deciding.old)) not in (deciding.old, self.before):
            return "foreign"
        for step in reversed(self.steps[: self.decides]):
            _write(device, {piece.offset: _undone(device, piece) for piece in step})
        return "old"

    def _clear(self, device: Device) -> None:
        left = [piece for piece in self.stale if read(device, piece.offset, len(piece.old)) == piece.old]
        if left:
            _write(device, {piece.offset: piece.new for piece in left})

    def _decided(self) -> dict[int, list[bytes]]:
        """By place, all that may stand there once the step that decides is done."""
        found: dict[int, list[bytes]] = {}
        for number, step in enumerate(self.steps):
            for piece in step:
                found.setdefault(piece.offset, []).extend([piece.old] * (number > self.decides) + [piece.new])
        return found


def _undone(device: Device, piece: Piece) -> bytes:
    """What is there, with the sectors of the piece that have been written as they were before."""
    there = read(device, piece.offset, len(piece.old))
    return b"".join(
        piece.old[sector] if there[sector] == piece.new[sector] else there[sector] for sector in _sectors(piece.old)
    )


class Draft:
    """Steps of a change as they are thought of. What it reads is the disk as the steps before have left it."""

    def __init__(self, disk: Read, sector_size: int) -> None:
        self._disk = disk
        self._sector_size = sector_size
        self._written: dict[int, bytes] = {}
        self._steps: list[tuple[Piece, ...]] = []
        self._decides = 0

    def read(self, offset: int, length: int) -> bytes:
        """Whole sectors."""
        sectors = range(offset, offset + length, self._sector_size)
        if not any(sector in self._written for sector in sectors):
            return self._disk(offset, length)
        return b"".join(self._written.get(each) or self._disk(each, self._sector_size) for each in sectors)

    def step(self, *writes: tuple[int, bytes]) -> None:
        """Of whole sectors. What is there already is not written, and nothing is no step."""
        pieces = [Piece(offset=offset, old=self.read(offset, len(new)), new=new) for offset, new in writes]
        changed = tuple(piece for piece in pieces if piece.old != piece.new)
        for piece in changed:
            for at in range(0, len(piece.new), self._sector_size):
                self._written[piece.offset + at] = piece.new[at : at + self._sector_size]
        if changed:
            self._steps.append(changed)

    @property
    def steps(self) -> Sequence[Sequence[Piece]]:
        return self._steps

    def decide(self, offset: int, sector: bytes) -> None:
        self._decides = len(self._steps)
        self.step((offset, sector))
        if self._decides == len(self._steps):
            raise AssertionError("a sector decides by what changes in it")

    def done(self, disk: Read, stale: Iterable[int]) -> TableChange:
        """``disk`` as it is before anything is wiped; ``stale`` are sectors that will be no part of a table."""
        if not self._steps:
            return TableChange()
        (deciding,) = self._steps[self._decides]
        before = disk(deciding.offset, len(deciding.old))
        size = self._sector_size
        left = tuple(Piece(offset=place, old=disk(place, size), new=bytes(size)) for place in stale)
        return TableChange(steps=tuple(self._steps), decides=self._decides, before=before, stale=left)


def read(device: Device, offset: int, length: int) -> bytes:
    content = bytearray(length)
    device.read_back(offset, memoryview(content))
    return bytes(content)


def expect(device: Device, offset: int, content: bytes) -> None:
    """Raises ReadBackDiffers when the medium holds anything else."""
    if read(device, offset, len(content)) != content:
        raise ReadBackDiffers(
            f"at byte {offset} the disk does not hold what was written",
            hint="the disk or its cable lies: look at the kernel log (dmesg) and at smartctl",
        )


def _write(device: Device, contents: Mapping[int, bytes]) -> None:
    for offset, content in contents.items():
        device.write(offset, memoryview(content))
    device.flush()
    for offset, content in contents.items():
        expect(device, offset, content)


def _is_ours(content: bytes, versions: Sequence[bytes]) -> bool:
    """Whether each of its sectors is as one of the versions has it."""
    return all(content[sector] in [version[sector] for version in versions] for sector in _sectors(content))


def _sectors(content: bytes) -> list[slice]:
    return [slice(start, start + _SECTOR) for start in range(0, len(content), _SECTOR)]
