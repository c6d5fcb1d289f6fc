"""``ogagent``: argument parsing, and errors turned into one line and an exit status.

Each command imports what it needs: the server, HTTP and cryptography take a third of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ogagent import __version__, cli_capture, cli_check, cli_config, cli_disks, cli_finish, cli_image, cli_oglive
from ogagent.cli_image import print_json
from ogagent.disk.machine import WholeMachine
from ogagent.errors import AgentError, SettingsError
from ogagent.model.disk import Inventory
from ogagent.power.power import Power
from ogagent.settings import Settings, load
from ogagent.system.inherited import forget_inherited

if TYPE_CHECKING:
    from ogagent.disk.cache import MountedCache
    from ogagent.functions.host import Host
    from ogagent.functions.installed import InstalledHost

DONE: Final = 0
FAILED: Final = 1
RETIRED: Final = 75  # EX_TEMPFAIL of sysexits.h: systemd starts the agent that is installed now
CONFIGURATION: Final = 78  # EX_CONFIG
INTERRUPTED: Final = 130
_UMASK: Final = 0o022
"""What the agent writes is read by others, images in the CACHE, say, and changed by nobody else."""
USUAL_CONFIG: Final = Path("/etc/ogagent/ogagent.toml")
"""That of the systemd unit."""


def main(arguments: Sequence[str] | None = None) -> int:
    forget_inherited()
    options = parser().parse_args(arguments)
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
    return load(path, os.environ, _kernel_command_line())


def _kernel_command_line() -> str:
    kernel = Path("/proc/cmdline")
    return kernel.read_text("utf-8", errors="replace") if kernel.exists() else ""


def settings_of_machine(path: Path | None, usual: Path = USUAL_CONFIG) -> Settings:
    """For commands that need no configuration, and go by that of the agent where there is one. Raises SettingsError."""
    if path is None and not usual.exists():
        return Settings()
    return read_settings(path or usual)


def serve(settings: Settings, host: Host | InstalledHost, before: Callable[[], None] = lambda: None) -> None:
    """``before``: what is done first, once there is a log."""
    os.umask(_UMASK)
    from ogagent import service
    from ogagent.system import log

    log.set_up(settings.log.level, settings.log.format, os.environ)
    before()
    if asyncio.run(service.run(settings, host)):
        sys.exit(RETIRED)


def _serve(options: argparse.Namespace) -> None:
    settings = read_settings(options.config)
    if _is_installed(settings):
        serve(settings, _installed_host(settings), lambda: cli_check.tell(settings, None))
    else:
        serve(settings, _host(settings), lambda: cli_check.tell(settings, _machine(settings)))


def _subject(options: argparse.Namespace) -> cli_check.Subject:
    settings = settings_of_machine(options.config)
    return settings, None if _is_installed(settings) else _machine(settings)


def _is_installed(settings: Settings) -> bool:
    """When in doubt it is not: whoever names disks to be written to means an ogLive, too."""
    from ogagent.system.oglive import is_oglive, lies_on_a_disk

    if settings.machine.kind == "auto":
        return not settings.disks.include and not is_oglive(_kernel_command_line()) and lies_on_a_disk()
    return settings.machine.kind == "installed"


def _installed_host(settings: Settings) -> InstalledHost:
    from ogagent.disk.seen import SeenDisks
    from ogagent.functions.insight import RealInnerInsight
    from ogagent.functions.installed import InstalledHost
    from ogagent.installed.ledger import Surroundings
    from ogagent.power.down import Down
    from ogagent.power.real import RealGoing
    from ogagent.system.desktop import RealDesktop
    from ogagent.system.locale import boot_id, language
    from ogagent.system.logind import RealLogind
    from ogagent.system.os_release import system_name

    return InstalledHost(
        disks=SeenDisks(settings.disks.include, settings.disks.exclude),
        insight=RealInnerInsight(),
        power=RealGoing(Down()),
        logind=RealLogind(),
        desktop=RealDesktop(),
        here=Surroundings(boot=boot_id(), language=language(), osversion=system_name()),
    )


def _host(settings: Settings) -> Host:
    from ogagent.capture.real import RealModels
    from ogagent.disk.cache import MountedCache
    from ogagent.finish.real import RealFinisher
    from ogagent.functions.host import Host
    from ogagent.functions.insight import RealInsight
    from ogagent.partition.real import RealTables, firmware
    from ogagent.system.oglive import lies_on_a_disk

    store, machine = MountedCache(Path(settings.cache.mount_point)), _machine(settings)
    return Host(
        machine=machine,
        store=store,
        insight=RealInsight(settings.state.place),
        tables=RealTables(settings.disks.exclude),
        models=RealModels(machine),
        finisher=RealFinisher(machine, settings.state.place, uefi=firmware() == "uefi"),
        firmware=firmware(),
        power=_power(settings, store),
        volatile="" if lies_on_a_disk() else "/",
    )


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


def _retire(options: argparse.Namespace) -> None:
    from ogagent.system.lock import retire

    retire(settings_of_machine(options.config).state.place, options.wait, _say)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the place where something is told to a person, who may wait


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
    if options.json:
        print_json({"bytes": progress.counts, "timings": progress.timings})


def _machine(settings: Settings) -> WholeMachine:
    from ogagent.disk.real import RealMachine

    return RealMachine(settings.disks.include, settings.disks.exclude)


def _power(settings: Settings, store: MountedCache) -> Power:
    from ogagent.power.down import Down
    from ogagent.power.look import looking_from
    from ogagent.power.real import RealPower

    look = looking_from(settings.state.place)
    return RealPower(Down(store.leave), look, kexec=settings.machine.kexec)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ogagent", description="The OpenGnsys agent for ogLive.")
    parser.add_argument("--version", action="version", version=f"ogagent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve_command = commands.add_parser("serve", help="run the agent")
    serve_command.add_argument("--config", type=Path, required=True, metavar="FILE", help="its configuration")
    serve_command.set_defaults(command=_serve)

    disks_command = commands.add_parser("disks", help="show the disks as the agent sees them")
    _add_config(disks_command, "for disks.include and disks.exclude")
    cli_disks.add_options(disks_command, lambda options: _machine(settings_of_machine(options.config)))

    check_command = commands.add_parser("check", help="show what the agent depends on, and what is wrong with it")
    _add_config(check_command, "for all that it says")
    cli_check.add_options(check_command, _subject)

    plan_command = commands.add_parser("plan", help="show what a request would do; writes nothing")
    plan_command.add_argument("--config", type=Path, required=True, metavar="FILE", help="that of the agent")
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

    retire_help = "make room for a newer agent: the one that runs takes no new job, and ends with its last"
    retire_command = commands.add_parser("retire", help=retire_help)
    _add_config(retire_command, "for state.dir")
    retire_command.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="for its end (default: 0)")
    retire_command.set_defaults(command=_retire)

    cli_config.add_command(commands.add_parser("config", help="look at a configuration, or take one over"))

    finish_help = "make a restored partition ready: the PC boots from it, as itself"
    cli_finish.add_command(commands.add_parser("finish", help=finish_help), settings_of_machine)
    capture_help = "make an image of one block device or file"
    cli_capture.add_command(commands.add_parser("capture", help=capture_help), settings_of_machine)
    cli_oglive.add_commands(commands.add_parser("oglive", help="put the agent into the image of an ogLive"))
    cli_image.add_max_window(restore_command)
    cli_image.add_commands(commands.add_parser("image", help="look into image files, and index them"))
    return parser


def _add_config(command: argparse.ArgumentParser, what: str) -> None:
    """For one that works without."""
    command.add_argument("--config", type=Path, metavar="FILE", help=f"{what}; {USUAL_CONFIG} when it is there")
