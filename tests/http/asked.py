"""Functions that plan nothing: jobs of the test's own see what was asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from ogagent.functions.restore import RestaurarImagen
from ogagent.functions.table import Functions
from ogagent.jobs.work import Claims, Order, Work
from ogagent.model.disk import Inventory
from ogagent.restore.request import RestoreRequest, restore_request


class Asked:
    """Implements ``ogagent.jobs.work.Order``."""

    def __init__(self, request: RestoreRequest) -> None:
        self.request = request

    looks = True

    def claims(self, inventory: Inventory) -> Claims:  # noqa: ARG002 - as an Order has it
        return Claims()

    def plan(self, inventory: Inventory) -> Work:
        raise AssertionError(f"nothing is planned here, not even on {inventory}")


class _Restores(RestaurarImagen):
    def __init__(self) -> None: ...

    def order(self, members: Mapping[str, Any]) -> Any:
        return Asked(restore_request(members))


class AskedFunctions(Functions):
    def __init__(self) -> None:
        self._functions = {RestaurarImagen.kind.name: _Restores()}


def request_of(order: Order) -> RestoreRequest:
    assert isinstance(order, Asked)
    return order.request


class _Planned:
    def __init__(self, preview: Callable[[], Awaitable[Any]]) -> None:
        self.preview = preview


def planned(preview: Callable[[], Awaitable[Any]]) -> Work:
    """Nothing but what ``/plan`` shows of it."""
    return cast("Work", _Planned(preview))
