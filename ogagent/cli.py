"""``ogagent``: argument parsing, and errors turned into one line and an exit status.

Each command imports what it needs: the server, HTTP and cryptography take a third of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ogagent import __version__, cli_image
from ogagent.cli_image import print_json
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, SettingsError
from ogagent.model.disk import Disk, Inventory
from ogagent.model.units import format_bytes
from ogagent.power.power import Power
from ogagent.settings import Settings, load
from ogagent.system.inherited import forget_inherited

if TYPE_CHECKING:
    from ogagent.disk.cache import MountedCache
    from ogagent.functions.host import Host

DONE: Final = 0
FAILED: Final = 1
CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h
INTERRUPTED: Final = 130
_UMASK: Final = 0o022
"""What the agent writes is read by others, images in the CACHE, say, and changed by nobody else."""
USUAL_CONFIG: Final = Path("/etc/ogagent/ogagent.toml")
"""That of the systemd unit."""


def main(arguments: Sequence[str] | None = None) -> int:
    forget_inherited()
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except AgentError as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"ogagent: {error.message}{hint}", file=sys.stderr)  # noqa: T201 - the place where errors reach a person
        return CONFIGURATION if isinstance(error, SettingsError) else FAILED
    except OSError as error:
        print(f"ogagent: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def read_settings(path: Path) -> Settings:
    """Raises SettingsError. The kernel command line counts, so that one ogLive serves every centre."""
    kernel = Path("/proc/cmdline")
    return load(path, os.environ, kernel.read_text("utf-8", errors="replace") if kernel.exists() else "")


def settings_of_machine(path: Path | None, usual: Path = USUAL_CONFIG) -> Settings:
    """For commands that need no configuration, and go by that of the agent where there is one. Raises SettingsError."""
    if path is None and not usual.exists():
        return Settings()
    return read_settings(path or usual)


def serve(settings: Settings, host: Host) -> None:
    os.umask(_UMASK)
    from ogagent import service
    from ogagent.system import log

    log.set_up(settings.log.level, settings.log.format, os.environ)
    asyncio.run(service.run(settings, host))


def _serve(options: argparse.Namespace) -> None:
    settings = read_settings(options.config)
    serve(settings, _host(settings))


def _host(settings: Settings) -> Host:
    from ogagent.disk.cache import MountedCache
    from ogagent.functions.host import Host
    from ogagent.functions.insight import RealInsight
    from ogagent.partition.real import RealTables, firmware

    store = MountedCache(Path(settings.cache.mount_point))
    return Host(
        machine=_machine(settings),
        store=store,
        insight=RealInsight(Path(settings.state.dir)),
        tables=RealTables(),
        firmware=firmware(),
        power=_power(settings, store),
    )


def _disks(options: argparse.Namespace) -> None:
    inventory = asyncio.run(_machine(settings_of_machine(options.config)).inventory())
    if options.json:
        print_json(inventory)
    else:
        _print_disks(inventory)


def _plan(options: argparse.Namespace) -> None:
    from ogagent.http.body import parsed_object

    settings = read_settings(options.config)
    asyncio.run(_show_plan(settings, parsed_object(os.fsencode(options.request))))


async def _show_plan(settings: Settings, members: dict[str, object]) -> None:
    from ogagent import service
    from ogagent.functions.table import Functions
    from ogagent.partition.plan import TablePlan
    from ogagent.partition.table import plan_as_text

    host = _host(settings)
    order = Functions(host.equipment(settings, service.source_policy(settings))).order(members)
    inventory = await host.machine.inventory(thorough=False) if order.looks else Inventory()
    preview = await order.plan(inventory).preview()
    if isinstance(preview, TablePlan):
        print(plan_as_text(preview))  # noqa: T201 - this is what was asked for
    else:
        print_json(preview)


def _restore(options: argparse.Namespace) -> None:
    from ogagent import standalone
    from ogagent.disk.excluded import Exclusions
    from ogagent.source.source import SourcePolicy
    from ogagent.system.tls import client_context

    excluded = Exclusions(settings_of_machine(options.config).disks.exclude).now()
    policy = SourcePolicy(
        tls=client_context(options.ca, "--ca"),
        networks=None,
        stall_timeout_s=30,
        retry_for_s=60,
        max_window=options.max_window,
    )
    console = Console(stderr=options.json)  # what a program reads stands alone on standard output
    work = standalone.restore_to(
        options.source, options.target, policy, console, excluded, read_back=options.read_back, confirmed=options.yes
    )
    progress = asyncio.run(work)
    if options.json and progress is not None:
        print_json({"bytes": progress.counts, "timings": progress.timings})


def _machine(settings: Settings) -> Machine:
    from ogagent.disk.real import RealMachine

    return RealMachine(settings.disks.include, settings.disks.exclude)


def _power(settings: Settings, store: MountedCache) -> Power:
    from ogagent.power.down import Down
    from ogagent.power.look import looking_from
    from ogagent.power.real import RealPower

    look = looking_from(Path(settings.state.dir))
    return RealPower(Down(store.leave), look, kexec=settings.machine.kexec)


def _print_disks(inventory: Inventory) -> None:
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
            marks = {"CACHE": part.cache, "INCOMPLETE": part.incomplete, "hibernated": part.hibernated}
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ogagent", description="The OpenGnsys agent for ogLive.")
    parser.add_argument("--version", action="version", version=f"ogagent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve_command = commands.add_parser("serve", help="run the agent")
    serve_command.add_argument("--config", type=Path, required=True, metavar="FILE")
    serve_command.set_defaults(command=_serve)

    disks_command = commands.add_parser("disks", help="show the disks as the agent sees them")
    _add_config(disks_command, "for disks.include and disks.exclude")
    disks_command.add_argument("--json", action="store_true")
    disks_command.set_defaults(command=_disks)

    plan_command = commands.add_parser("plan", help="show what a request would do; writes nothing")
    plan_command.add_argument("--config", type=Path, required=True, metavar="FILE")
    plan_command.add_argument("request", help="the body of a call, JSON; nfn names the function")
    plan_command.set_defaults(command=_plan)

    restore_command = commands.add_parser("restore", help="restore one image to one block device or file")
    restore_command.add_argument("source", metavar="SOURCE", help="a file or a URL")
    restore_command.add_argument("target", metavar="TARGET", help="a block device or an existing file")
    _add_config(restore_command, "for disks.exclude")
    restore_command.add_argument("--yes", action="store_true", help="do not ask before writing")
    restore_command.add_argument("--no-read-back", dest="read_back", action="store_false")
    restore_command.add_argument("--json", action="store_true", help="print what was done as JSON")
    restore_command.add_argument("--ca", default="", metavar="FILE", help="CA of an https source")
    restore_command.set_defaults(command=_restore)

    cli_image.add_max_window(restore_command)
    cli_image.add_commands(commands.add_parser("image", help="look into image files, and index them"))
    return parser


def _add_config(command: argparse.ArgumentParser, what: str) -> None:
    """For one that works without."""
    command.add_argument("--config", type=Path, metavar="FILE", help=f"{what}; {USUAL_CONFIG} when it is there")
