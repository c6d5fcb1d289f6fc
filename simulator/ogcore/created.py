"""What ogCore knows of images that it saw created: who ordered them, and what the agents found out."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from simulator.ogcore.order import Order
from simulator.ogcore.reports import SUCCEEDED, FinalReport

MOST_IMAGES: Final = 1000


class Created(Struct, frozen=True, kw_only=True):
    """One version of an image, made at ``when``. Sizes in bytes; ``filesystem`` as OpenGnsys calls it."""

    job_id: str
    when: str
    client: str
    description: str
    system: str
    size: int
    used: int
    filesystem: str
    digest: str


class Versions(Struct, frozen=True):
    """Of one image: what is in its place, and what was before it. None for what ogCore did not see created."""

    current: Created | None
    previous: Created | None = None


class CreatedImages:
    """By the id that ogCore gives an image. Beyond a thousand the one that changed first makes room."""

    def __init__(self) -> None:
        self._images: dict[str, Versions] = {}

    def restore(self, image_id: str, versions: Versions) -> None:
        self._images[image_id] = versions

    def versions(self, image_id: str) -> Versions:
        return self._images.get(image_id, Versions(None))

    def in_place(self, image_id: str, size: int) -> Created | None:
        """None also where the file has another ``size``: somebody else has put it there."""
        current = self.versions(image_id).current
        return current if current and current.size == size else None

    def receive(self, report: FinalReport, order: Order, when: str) -> str:
        """The id of the image that is new, empty for a report that says nothing of one."""
        if report.res != SUCCEEDED or report.image is None or not report.idi:
            return ""
        found = report.image
        created = Created(
            job_id=report.job_id,
            when=when,
            client=order.client,
            description=order.description,
            system=_system_of(report),
            size=found.size,
            used=found.used,
            filesystem=found.filesystem,
            digest=found.digest,
        )
        before = self.versions(report.idi)
        if before.current and before.current.job_id == report.job_id:  # told again after ogCore had fallen over it
            return report.idi
        self._keep(report.idi, Versions(created, before.current))
        return report.idi

    def put_back(self, image_id: str) -> None:
        """The two have changed places."""
        versions = self.versions(image_id)
        self._keep(image_id, Versions(versions.previous, versions.current))

    def _keep(self, image_id: str, versions: Versions) -> None:
        self._images.pop(image_id, None)
        self._images[image_id] = versions
        if len(self._images) > MOST_IMAGES:
            del self._images[next(iter(self._images))]


def _system_of(report: FinalReport) -> str:
    """What was found on the partition; empty for nothing."""
    rows = (row.soi for row in report.cfg or () if (row.disk, row.par) == (report.dsk, report.par))
    return next(rows, "")
