"""``ogagent finish``: what follows a restore, by hand, on a partition that holds a system."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from ogagent.cli_image import print_json
from ogagent.errors import DiskNotFound, NotReady, PartitionInUse, TargetIsCache
from ogagent.model.host_name import RULE, is_host_name
from ogagent.settings import FinishSettings, Settings

if TYPE_CHECKING:
    from ogagent.model.disk import Disk, Inventory, Partition
    from ogagent.model.job import JobStep
    from ogagent.model.progress import JobProgress

_POLL_S: Final = 0.1
_MARKS: Final = {"done": "✓", "not-needed": "·", "failed": "✗", "running": "…", "waiting": " "}


def add_command(command: argparse.ArgumentParser, settings: Callable[[Path | None], Settings]) -> None:
    """``settings`` are those of the agent of this machine."""
    command.add_argument("device", metavar="DEVICE", help="the partition, /dev/sda2")
    command.add_argument("--config", type=Path, metavar="FILE", help="the agent's configuration, for [finish]")
    command.add_argument("--hostname", type=_host_name, metavar="NAME", help="how the system is called")
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    command.add_argument("--json", action="store_true", help="print the steps as JSON")
    command.set_defaults(command=lambda options: _finish(options, settings(options.config)))


def _host_name(text: str) -> str:
    if not is_host_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no host name: {RULE}")
    return text


def _finish(options: argparse.Namespace, settings: Settings) -> None:
    """Raises AgentError: FinishError names the step that could not be done."""
    wanted = replace(settings.finish, hostname=options.hostname or settings.finish.hostname)
    console = Console(stderr=options.json)
    with tempfile.TemporaryDirectory(prefix="ogagent-") as folder:
        steps = asyncio.run(_steps(options.device, settings, wanted, Path(folder), console, dry=options.dry_run))
    if options.json:
        print_json(steps)


async def _steps(
    device: str, settings: Settings, wanted: FinishSettings, folder: Path, console: Console, *, dry: bool
) -> list[JobStep]:
    from ogagent.disk.real import RealMachine
    from ogagent.finish.finish import foreseen, make_ready
    from ogagent.finish.hook import Job
    from ogagent.finish.place import Place
    from ogagent.finish.real import RealFinisher
    from ogagent.functions.finishing import centre_of
    from ogagent.model.plan import bound
    from ogagent.model.progress import JobProgress
    from ogagent.partition.real import firmware

    machine = RealMachine(settings.disks.include, settings.disks.exclude)
    inventory = await machine.inventory(thorough=False)
    disk, partition = await asyncio.to_thread(_found, device, inventory)
    target = bound(disk, partition)
    finisher = RealFinisher(machine, folder, uefi=firmware() == "uefi")
    name = wanted.hostname or await finisher.given_name()
    centre = await asyncio.to_thread(centre_of, settings.ogcore)
    volumes = await finisher.volumes(inventory)
    place = Place.of(target, inventory, volumes, uefi=finisher.uefi, name=name, centre=centre)
    if dry:
        steps = list(await foreseen(finisher, place, wanted))
        for step in steps:
            console.print(_line(step, dry=True))
        if not steps:
            console.print(f"{device} holds no system, and what is there fills it: nothing would be done.", markup=False)
        return steps
    progress = JobProgress()
    work = asyncio.create_task(make_ready(finisher, place, wanted, Job(), progress))
    try:
        await _show(work, progress, console)
        await work
    finally:
        work.cancel()
        await asyncio.wait([work])
    for warning in progress.warnings:
        console.print(Text(warning))
    await asyncio.to_thread(_forget, settings.state.place, target.identity, target.partition)
    console.print(f"{device} is ready.", markup=False)
    return progress.steps


def _found(device: str, inventory: Inventory) -> tuple[Disk, Partition]:
    """Raises the Refusal that fits when nothing may be changed on it."""
    from ogagent.disk.occupancy import block_device_number
    from ogagent.disk.precious import refuse_precious

    number = block_device_number(device)
    for disk in inventory.disks:
        for part in disk.partitions:
            if number is not None and block_device_number(part.device) == number:
                if part.cache:
                    raise TargetIsCache(f"{device} is the CACHE")
                if part.mounted:
                    raise PartitionInUse(f"{device} is in use: {part.mounted}", hint="unmount it first")
                if part.incomplete:
                    raise NotReady(f"{device} is INCOMPLETE: it holds no whole image", hint="restore one onto it")
                refuse_precious(disk, part, device)
                return disk, part
    raise DiskNotFound(f"{device} is no partition of this machine's disks", hint="see them with ogagent disks")


async def _show(work: asyncio.Task[None], progress: JobProgress, console: Console) -> None:
    """A line for each step when it has ended, one after the other."""
    shown = 0
    while True:
        ended = [step for step in progress.steps if step.state not in ("waiting", "running")]
        for step in ended[shown:]:
            console.print(_line(step, dry=False))
        shown = max(shown, len(ended))
        if work.done():
            return
        await asyncio.wait([work], timeout=_POLL_S)


def _line(step: JobStep, *, dry: bool) -> Text:
    mark = ("would do" if step.state == "waiting" else "is so already") if dry else _MARKS[step.state]
    seconds = "" if dry else f"  {step.seconds:.1f} s"
    return Text(f"{mark} {step.name}: {step.would}{seconds}")


def _forget(state: Path, identity: str, partition: int) -> None:
    """That the agent's journal calls it unfinished, where there is one."""
    from ogagent.jobs.journal import Journal

    if not (state / "journal.sqlite").exists():
        return
    try:
        journal = Journal(str(state / "journal.sqlite"))
        try:
            journal.made_ready((identity, partition))
        finally:
            journal.close()
    except sqlite3.Error as error:
        raise NotReady(f"the partition is ready, but the agent's journal cannot be written: {error}") from error
