"""Deployments: an operator's choice of an image becomes the call that OpenGnsys documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from simulator.ogcore.answers import BAD_GATEWAY, UNPROCESSABLE, error
from simulator.ogcore.images import Image, Images, RepositoryUnreachable
from simulator.ogcore.order import Order, place_of
from simulator.ogcore.reports import RESTORE

Number = Annotated[int, Meta(ge=1, le=999)]


class Deployment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the operator chooses; numbers may be strings."""

    image: Annotated[str, Meta(min_length=1, max_length=200)]
    disk: Number
    partition: Number
    method: Annotated[str, Meta(max_length=200)] = "unicast"


def deployment_of(order: Order) -> Deployment:
    """What the operator had chosen."""
    disk, _, partition = order.partition.partition("/")
    return Deployment(image=order.image, disk=int(disk), partition=int(partition), method=order.method)


class Deployments:
    def __init__(self, images: Images) -> None:
        self._images = images
        self.repository = images.host

    async def order(self, client: str, wanted: Deployment) -> Order | web.Response:
        """Or why there will be none."""
        orders = await self.orders([client], wanted)
        return orders if isinstance(orders, web.Response) else orders[0]

    async def orders(self, clients: Sequence[str], wanted: Deployment) -> list[Order] | web.Response:
        """One for each client; the repository is asked once."""
        try:
            image = await self._images.named(wanted.image)
        except RepositoryUnreachable as why:
            return error(BAD_GATEWAY, str(why))
        if image is None:
            return error(404, f"the repository has no image {wanted.image}")
        if not image.offered:
            return error(UNPROCESSABLE, f"{wanted.image} is corrupt: {image.reason}")
        return [
            Order(
                client=client,
                members=self._members(wanted, image),
                image=image.name,
                partition=place_of(wanted.disk, wanted.partition),
                method=wanted.method,
            )
            for client in clients
        ]

    def _members(self, wanted: Deployment, image: Image) -> dict[str, str]:
        """As in OpenGnsys' documentation: these members, all of them strings."""
        where = {"dsk": str(wanted.disk), "par": str(wanted.partition), "cpt": image.code, "ifs": "1"}
        what = {"idi": image.id, "nci": image.name, "ipr": self.repository, "nfn": RESTORE}
        return {**where, **what, "method": wanted.method}
