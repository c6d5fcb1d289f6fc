"""``ogsim``: argument parsing, and errors turned into one line and an exit status."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from ogagent.cli import read_settings, serve
from ogagent.errors import AgentError, SettingsError
from ogagent.system.inherited import forget_inherited
from simulator import __version__
from simulator.certificates import Authority
from simulator.cli_bench import add_crowd_benches
from simulator.cli_values import client_count, mebibytes, megabits, size
from simulator.errors import LabError
from simulator.faults import FaultFile, Faults, no_faults
from simulator.http_client import Place
from simulator.lab.hosts import KEYBOARD
from simulator.machine.file_host import file_host
from simulator.machine.file_power import FilePower
from simulator.machine.profile import read_profile

DONE: Final = 0
FAILED: Final = 1
CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h
INTERRUPTED: Final = 130
_GOODBYE_S: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    forget_inherited()
    options = parser().parse_args(arguments)
    try:
        options.command(options)
    except (AgentError, LabError) as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"ogsim: {error.message}{hint}", file=sys.stderr)  # noqa: T201 - the place where errors reach a person
        return CONFIGURATION if isinstance(error, SettingsError) else FAILED
    except OSError as error:  # a full disk, say
        print(f"ogsim: {error}", file=sys.stderr)  # noqa: T201 - likewise
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


# Each command imports what it needs: a room has many agents, and none of them needs the console or the measuring.


def _demo(options: argparse.Namespace) -> None:
    from simulator.demo import demo

    demo(keep=options.keep)


def _bench(options: argparse.Namespace) -> None:
    from simulator.bench.capture import bench_capture
    from simulator.bench.command import bench_restore
    from simulator.bench.media import bench_media
    from simulator.bench.redeploy import bench_redeploy

    measures = {"restore": bench_restore, "redeploy": bench_redeploy, "media": bench_media, "capture": bench_capture}
    measures[options.what](options.size, options.json)


def _bench_crowd(options: argparse.Namespace) -> None:
    from simulator.bench.crowd.command import Wishes, bench_crowd

    names = ("size", "mbit", "methods", "clients", "troubles", "quick", "plain", "json")
    bench_crowd(Wishes(**{name: getattr(options, name) for name in names}))


def _bench_campus(options: argparse.Namespace) -> None:
    from simulator.bench.campus import campus

    campus(options.rooms, options.pcs)


def _repository(options: argparse.Namespace) -> None:
    from simulator.repository.app import repository_app
    from simulator.repository.crowd.offer import Crowd
    from simulator.sample import make_sample
    from simulator.token_file import read_token

    if not options.images.is_dir():
        raise LabError(f"{options.images} is no directory", hint="make it, and put images into it or use --sample")
    if options.sample:
        make_sample(options.images)
    token = read_token(options.token_file) if options.token_file else ""
    app = repository_app(
        options.images,
        rate=options.mbit,
        faults=_faults(options),
        token=token,
        quota=options.quota_mib,
        crowd=Crowd(address=options.address, interface=options.interface) if options.crowd else None,
    )
    _listen(app, options)


def _ogcore(options: argparse.Namespace) -> None:
    from simulator.ogcore.app import ogcore_app
    from simulator.ogcore.clients import demo_room, read_clients
    from simulator.ogcore.console.app import with_console
    from simulator.token_file import read_token

    authority = Authority(options.tls)
    tls = authority.client_context()
    clients = read_clients(options.clients) if options.clients else demo_room()
    token = read_token(options.token_file) if options.token_file else ""
    known = {"token": token, "memory": options.memory, "lab": options.lab}
    app = ogcore_app(clients, repository=options.repository, repository_tls=tls, **known)
    if options.console:
        app = with_console(app, Place(options.address, options.port).url, tls, options.console)
    _listen(app, options)


def _lab(options: argparse.Namespace) -> None:
    from simulator.lab.command import LabOptions, lab

    lab(
        LabOptions(
            clients=options.clients,
            address=options.address,
            port=options.port,
            mbit=options.mbit,
            switch=options.switch,
            profiles=tuple(options.profile),
            faults=tuple(options.fault),
        )
    )


def _agent(options: argparse.Namespace) -> None:
    settings = read_settings(options.config)
    for disk in options.disk:
        if not disk.is_file():
            raise LabError(f"{disk} is no file", hint="a disk is a file that holds a partition table")
    profile = read_profile(options.profile) if options.profile else None
    power = FilePower(options.disk, options.nvram or settings.state.place / "nvram")
    serve(settings, file_host(options.disk, _faults(options), profile, power))
    if power.ended:
        sys.exit(power.ended)


def _faults(options: argparse.Namespace) -> Faults:
    """What the file says by now counts; what it says at the start is shown to be readable."""
    if options.faults is None:
        return no_faults
    faults = FaultFile(options.faults)
    faults()
    return faults


def _boot(options: argparse.Namespace) -> None:
    from simulator.machine.booted import booted_host, own_state
    from simulator.machine.seat import SeatWithKeyboard

    settings = own_state(read_settings(options.config))
    profile = read_profile(options.profile) if options.profile else None
    power = FilePower(options.disk, options.nvram or settings.state.place / "nvram")
    seat = SeatWithKeyboard(settings.server.address, options.keyboard)
    serve(settings, booted_host(options.disk, tuple(options.boots), seat, power, profile))
    if power.ended:
        sys.exit(power.ended)


def _listen(app: web.Application | Awaitable[web.Application], options: argparse.Namespace) -> None:
    """Until SIGTERM or SIGINT."""
    context = Authority(options.tls).server_context(options.address) if options.tls else None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve_app = partial(web.run_app, app, host=options.address, port=options.port, ssl_context=context)
    try:
        serve_app(print=None, access_log=None, shutdown_timeout=_GOODBYE_S)
    except OSError as error:
        raise LabError(
            f"cannot listen on {options.address} port {options.port}: {error.strerror}",
            hint="stop what listens there, or choose another place with --address and --port",
        ) from None


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ogsim", description="A computer room of OpenGnsys without hardware.")
    parser.add_argument("--version", action="version", version=f"ogsim {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_command = commands.add_parser("demo", help="the whole story once: an image travels to a client")
    demo_command.add_argument("--keep", action="store_true", help="leave the room running until Ctrl-C")
    demo_command.set_defaults(command=_demo)

    bench = commands.add_parser("bench", help="measure").add_subparsers(required=True, metavar="WHAT")
    for name, gib, text in (
        ("restore", 2, "this engine against the pipelines that it replaces; needs root"),
        ("redeploy", 4, "what is spared when partition or CACHE hold the image already; needs root"),
        ("media", 1, "what is asked of disks that are slow; needs root"),
        ("capture", 4, "how images are made, against the pipelines that do it today; needs root"),
    ):
        what = bench.add_parser(name, help=text)
        what.add_argument("--size", type=size, default=gib << 30, metavar=f"{gib}G", help="of the partition")
        what.add_argument("--json", type=Path, metavar="FILE", help="the figures, for a program")
        what.set_defaults(command=_bench, what=name)
    add_crowd_benches(bench, _bench_crowd, _bench_campus)

    repository = commands.add_parser("repository", help="serve a directory of images")
    _add_repository(repository)
    repository.set_defaults(command=_repository)

    lab_command = commands.add_parser("lab", help="a computer room with a console in the browser, until Ctrl-C")
    lab_command.add_argument("--clients", type=client_count, default=6, metavar="N", help="default 6")
    lab_command.add_argument("--profile", type=Path, action="append", default=[], metavar="FILE", help=_PROFILE_HELP)
    lab_command.add_argument("--mbit", type=int, choices=range(1, 1001), default=40, metavar="N", help=_MBIT_HELP)
    lab_command.add_argument("--switch", action="store_true", help=_SWITCH_HELP)
    lab_command.add_argument("--fault", action="append", default=[], metavar="SPEC", help=_FAULT_HELP)
    _add_place(lab_command, "127.0.0.1", 8080)
    lab_command.set_defaults(command=_lab)

    _add_ogcore(commands.add_parser("ogcore", help="run ogCore, for clients that are real or not"))

    agent = commands.add_parser("agent", help="run the real agent on disks that are files")
    _add_machine(agent)
    _add_faults(agent)
    agent.set_defaults(command=_agent)

    boot = commands.add_parser(
        "boot", help="run the real agent of a client that has booted from its disk, if that boots"
    )
    _add_machine(boot)
    boot.add_argument("--boots", type=int, nargs=2, default=(1, 2), metavar=("DISK", "PARTITION"), help="default 1 2")
    boot.add_argument("--keyboard", type=int, default=KEYBOARD, metavar="PORT", help=_KEYBOARD_HELP)
    boot.set_defaults(command=_boot)
    return parser


_FAULTS_HELP: Final = "what goes wrong, one a line, disk:full@1MiB, say; may change while this runs"
_WRITING_HELP: Final = "whoever shows the token in it may write; default: nobody"
_CLIENTS_HELP: Final = 'JSON, [{"name": "pc1", "mac": …, "ip": …}]; default: those of the demonstration'
_PROFILE_HELP: Final = "a machine; given several times, dealt out in turn; default: one of each kind"
_MBIT_HELP: Final = "speed of each client's cable in megabits a second, default 40"
_SWITCH_HELP: Final = "every host in a network of its own, at a switch, which multicast gets through; needs root"
_FAULT_HELP: Final = "what goes wrong from the start, pc1:link=2, say; may be given several times"
_PUT_BACK_HELP: Final = "the repository's token; without one, no previous version of an image is put back"
_KEYBOARD_HELP: Final = "of the agent's address: POST /lab/login and /lab/logout there; default 8002"
_CROWD_HELP: Final = "sessions of udpcast, uftp and p2p as well; a tracker on port 6969, and TCP 2009 of older clients"
_INTERFACE_HELP: Final = "where multicast is sent from, eth0, say; default: the one with the address"
_LAB_HELP: Final = "whom it believes, beside its own machine, that a client boots"
_TLS_HELP: Final = "directory of the lab's certificate authority, made when there is none"


def _add_ogcore(ogcore: argparse.ArgumentParser) -> None:
    ogcore.add_argument("--clients", type=Path, metavar="FILE", help=_CLIENTS_HELP)
    ogcore.add_argument("--memory", type=Path, metavar="FILE", help="where it remembers agents, traces and images")
    ogcore.add_argument("--console", type=int, metavar="PORT", help="with its console on this port of 127.0.0.1")
    ogcore.add_argument("--repository", default="https://127.0.68.55:8443", metavar="URL")
    ogcore.add_argument("--token-file", type=Path, metavar="FILE", help=_PUT_BACK_HELP)
    ogcore.add_argument("--lab", default="", metavar="ADDRESS", help=_LAB_HELP)
    _add_place(ogcore, "127.0.2.1", 8443)
    ogcore.add_argument("--tls", type=Path, required=True, metavar="DIR", help=_TLS_HELP)
    ogcore.set_defaults(command=_ogcore)


def _add_repository(command: argparse.ArgumentParser) -> None:
    command.add_argument("--images", type=Path, required=True, metavar="DIR")
    command.add_argument("--sample", action="store_true", help="make image-test in it first")
    command.add_argument("--mbit", type=megabits, default=0, metavar="N", help="so many megabits a second for each")
    command.add_argument("--token-file", type=Path, metavar="FILE", help=_WRITING_HELP)
    command.add_argument("--quota-mib", type=mebibytes, metavar="N", help="no more than this in all files together")
    command.add_argument("--crowd", action="store_true", help=_CROWD_HELP)
    command.add_argument("--interface", default="", metavar="NAME", help=_INTERFACE_HELP)
    _add_faults(command)
    _add_place(command, "127.0.68.55", 8443)
    security = command.add_mutually_exclusive_group(required=True)
    security.add_argument("--tls", type=Path, metavar="DIR", help=_TLS_HELP)
    security.add_argument("--plain", dest="tls", action="store_const", const=None, help="HTTP without TLS")


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, required=True, metavar="FILE")
    command.add_argument("--disk", type=Path, required=True, nargs="+", metavar="FILE", help="disk 1, disk 2, …")
    command.add_argument("--profile", type=Path, metavar="FILE", help="what the files do not tell: models, mounts")
    command.add_argument("--nvram", type=Path, metavar="FILE", help="where is kept from which partition it boots next")


def _add_faults(command: argparse.ArgumentParser) -> None:
    command.add_argument("--faults", type=Path, metavar="FILE", help=_FAULTS_HELP)


def _add_place(command: argparse.ArgumentParser, address: str, port: int) -> None:
    command.add_argument("--address", default=address, help=f"default {address}")
    command.add_argument("--port", type=int, default=port, help=f"default {port}")
