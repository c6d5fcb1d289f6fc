"""``ogagent disks``: the inventory, for people or as JSON."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator

from rich.console import Console

from ogagent.cli_image import print_json
from ogagent.disk.machine import Machine
from ogagent.model.disk import Disk, Inventory
from ogagent.model.units import format_bytes


def add_options(command: argparse.ArgumentParser, machine: Callable[[argparse.Namespace], Machine]) -> None:
    """``machine`` is the one that the options mean."""
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=lambda options: _disks(machine(options), as_json=options.json))


def _disks(machine: Machine, *, as_json: bool) -> None:
    inventory = asyncio.run(machine.inventory())
    if as_json:
        print_json(inventory)
    else:
        print_disks(inventory)


def print_disks(inventory: Inventory) -> None:
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, emoji=False)  # a label is nothing but text
    if not inventory.disks:
        console.print("This machine has no disks.")
    for disk in inventory.disks:
        table = Table("par", "device", "size", "code", "file system", "label", "system", "used", "", box=None)
        kind = disk.table or "no table"
        table.title = Text(f"disk {disk.disk}  {disk.device}  {format_bytes(disk.size)}  {disk.model}  {kind}")
        table.title_justify = "left"
        for part in disk.partitions:
            used = "" if part.used is None else f"{part.used} %"
            marks = {
                "CACHE": part.cache,
                "INCOMPLETE": part.incomplete,
                "unfinished": part.unfinished,
                "hibernated": part.hibernated,
            }
            notes = " ".join(filter(None, (*(mark for mark, there in marks.items() if there), part.mounted or "")))
            cells = (str(part.partition), part.device, format_bytes(part.size), part.code, part.filesystem, part.label)
            # As text: in a string a label like [/] would be markup.
            table.add_row(*map(Text, (*cells, part.os, used, notes)))
        console.print(table)
        for what, problem in _problems(disk):
            console.print(Text(f"{what}: {problem}"), soft_wrap=True)


def _problems(disk: Disk) -> Iterator[tuple[str, str]]:
    if disk.problem:
        yield f"disk {disk.disk}", disk.problem
    for part in disk.partitions:
        if part.problem:
            yield f"partition {part.partition}", part.problem
