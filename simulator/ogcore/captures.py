"""Images to be created: an operator's name for what a partition holds becomes the call that OpenGnsys documents."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from simulator.ogcore.deployments import Number
from simulator.ogcore.images import image_id
from simulator.ogcore.order import Order, place_of
from simulator.ogcore.reports import CREATE

LONGEST_NAME: Final = 200
LONGEST_DESCRIPTION: Final = 2000
NAME: Final = r"^(?!.*\.\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?\Z"
"""Of an image, as agent and repository take it: in one directory at most."""


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chooses; numbers may be strings."""

    image: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, pattern=NAME)]
    disk: Number
    partition: Number
    description: Annotated[str, Meta(max_length=LONGEST_DESCRIPTION)] = ""

    def order_of(self, client: str, repository: str) -> Order:
        """``repository`` is its host. The code of the partition is left out: the agent sees it."""
        where = {"dsk": str(self.disk), "par": str(self.partition)}
        what = {"idi": image_id(self.image), "nci": self.image, "ipr": repository, "nfn": CREATE}
        return Order(
            client=client,
            function=CREATE,
            members={**where, **what},
            image=self.image,
            partition=place_of(self.disk, self.partition),
            description=self.description,
        )
