"""``ogagent image diff``: what a PC that holds one image would have to fetch to hold another."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ogagent.errors import ImageNotFound, InvalidField
from ogagent.image.index import LARGEST_INDEX, SUFFIX, ImageIndex
from ogagent.imagefile.check import load
from ogagent.imagefile.exchange import read_sidecar


class Difference(Struct, frozen=True, kw_only=True):
    """Regions of the new image by what the old one holds in their place; ``bytes`` of the new image's file."""

    same: int
    changed: int
    added: int
    removed: int
    bytes_to_fetch: int
    bytes_of_image: int


def load_beside(path: Path) -> ImageIndex:
    """Raises ImageNotFound, ImageCorrupt."""
    data = read_sidecar(path, SUFFIX, LARGEST_INDEX)
    if data is None:
        raise ImageNotFound(f"{path} has no index", hint=f"make it: ogagent image index {path}")
    return load(path, data)


def difference(old: ImageIndex, new: ImageIndex) -> Difference:
    """Raises InvalidField when regions of different sizes cannot be compared."""
    if old.region_size != new.region_size:
        raise InvalidField(
            f"{old.image} has regions of {old.region_size} bytes, {new.image} of {new.region_size}",
            hint="make one of the indexes again with --region-size",
        )
    held = {number: old.hash(place) for place, number in enumerate(old.numbers)}
    same = changed = added = fetched = 0
    for place, number in enumerate(new.numbers):
        before = held.get(number)
        if before == new.hash(place):
            same += 1
            continue
        changed, added = (changed, added + 1) if before is None else (changed + 1, added)
        fetched += new.frame(place)[1]
    return Difference(
        same=same,
        changed=changed,
        added=added,
        removed=len(held.keys() - set(new.numbers)),
        bytes_to_fetch=fetched,
        bytes_of_image=new.size,
    )
