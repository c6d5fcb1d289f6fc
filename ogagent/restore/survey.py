"""What a partition holds already of an image, and which parts of the image's file are to be fetched for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from blake3 import blake3

from ogagent.disk.machine import Device
from ogagent.errors import DeviceError
from ogagent.image.indexed import IndexedImage
from ogagent.model.units import MIB
from ogagent.restore.threads import Buffers
from ogagent.system.channel import Stopped

LONGEST_STRETCH: Final = 16 * MIB
_SAMPLES: Final = 16
_FEW: Final = 10
"""A partition of whose samples not one in so many is right is foreign: reading all of it is not worth the time."""

Held = list[tuple[int, memoryview]]
"""Places on the partition, in bytes, and what stands there."""


class Survey:
    """Everything is read from the medium. Blocking; several threads may ask at once."""

    def __init__(self, image: IndexedImage, device: Device, buffers: Buffers) -> None:
        self._image = image
        self._device = device
        self._buffers = buffers
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    @contextmanager
    def held(self, place: int) -> Iterator[Held | None]:
        """The blocks of a region that is as the image has it.

        What cannot be read is not right: it will be written, and that tells whether the disk is broken.
        """
        if self._stopped:
            raise Stopped
        extents = self._image.layout.region(place).extents
        start, stop = extents[0].offset, extents[-1].offset + extents[-1].length
        with self._buffers.one(stop - start) as found:
            parts = [(each.offset, found[each.offset - start :][: each.length]) for each in extents]
            yield parts if self._is_right(place, start, found, parts) else None

    def _is_right(self, place: int, start: int, found: memoryview, parts: Held) -> bool:
        with suppress(DeviceError):
            self._device.read_back(start, found)
            running = blake3()
            for _, part in parts:
                running.update(part)
            return running.digest() == self._image.index.hash(place)
        return False

    def bytes_held(self, place: int) -> int:
        """0 for a region that is not right."""
        with self.held(place) as held:
            return sum(len(part) for _, part in held or ())

    def is_foreign(self, places: range) -> bool:
        samples = places[:: max(len(places) // _SAMPLES, 1)]
        right = sum(self.bytes_held(place) > 0 for place in samples)
        return right * _FEW < len(samples)


class Stretch(NamedTuple):
    """The bytes of the image's file from ``start`` to ``stop``: the frames of ``places``."""

    start: int
    stop: int
    places: list[int]


def stretches(
    looked: Iterable[tuple[int, bool]], frame: Callable[[int], tuple[int, int]], longest: int
) -> Iterator[Stretch]:
    """Neighbouring frames of what is not held, up to ``longest`` bytes in one; each as soon as it is known.

    ``looked`` are places in order, and whether the partition holds them; ``frame`` tells offset and length.
    """
    start = stop = 0
    places: list[int] = []
    for place, held in looked:
        offset, length = frame(place)
        if places and (held or offset != stop or offset + length - start > longest):
            yield Stretch(start, stop, places)
            places = []
        if not held:
            start, stop = start if places else offset, offset + length
            places.append(place)
    if places:
        yield Stretch(start, stop, places)
