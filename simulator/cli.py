"""``ogsim``: argument parsing, and errors turned into one line and an exit status."""

from __future__ import annotations

import argparse
import logging
import re
import ssl
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
from simulator.errors import LabError
from simulator.faults import FaultFile, Faults, no_faults
from simulator.http_client import Place
from simulator.lab.hosts import MOST_CLIENTS
from simulator.machine.file_host import file_host
from simulator.machine.file_power import FilePower
from simulator.machine.profile import read_profile

DONE: Final = 0
FAILED: Final = 1
CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h
INTERRUPTED: Final = 130
_GOODBYE_S: Final = 2.0
_MEGABIT: Final = 1_000_000 / 8


def main(arguments: Sequence[str] | None = None) -> int:
    forget_inherited()
    options = _parser().parse_args(arguments)
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
    from simulator.bench.command import bench_restore
    from simulator.bench.media import bench_media
    from simulator.bench.redeploy import bench_redeploy

    measures = {"restore": bench_restore, "redeploy": bench_redeploy, "media": bench_media}
    measures[options.what](options.size, options.json)


def _repository(options: argparse.Namespace) -> None:
    from simulator.repository.app import repository_app
    from simulator.sample import make_sample

    if not options.images.is_dir():
        raise LabError(f"{options.images} is no directory", hint="make it, and put images into it or use --sample")
    if options.sample:
        make_sample(options.images)
    _listen(repository_app(options.images, rate=options.mbit, faults=_faults(options)), options)


def _ogcore(options: argparse.Namespace) -> None:
    from simulator.ogcore.app import ogcore_app
    from simulator.ogcore.clients import demo_room, read_clients
    from simulator.ogcore.console.app import with_console

    authority = Authority(options.tls)
    tls = authority.client_context()
    clients = read_clients(options.clients) if options.clients else demo_room()
    app = ogcore_app(clients, repository=options.repository, repository_tls=tls, memory=options.memory)
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
    power = FilePower(options.disk, options.nvram or Path(settings.state.dir) / "nvram")
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
    from simulator.machine.booted import Booted, booted_app, installed_system

    authority = Authority(options.tls)
    context = authority.server_context(options.address)
    booted = Booted(
        ip=options.address,
        ogcore=options.ogcore,
        ogcore_tls=authority.client_context(),
        fingerprint=authority.fingerprint(options.address),
        system=installed_system(options.disk, options.partition),
    )
    _listen_with(booted_app(booted), options, context)


def _listen(app: web.Application | Awaitable[web.Application], options: argparse.Namespace) -> None:
    _listen_with(app, options, Authority(options.tls).server_context(options.address) if options.tls else None)


def _listen_with(
    app: web.Application | Awaitable[web.Application], options: argparse.Namespace, context: ssl.SSLContext | None
) -> None:
    """Until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve_app = partial(web.run_app, app, host=options.address, port=options.port, ssl_context=context)
    try:
        serve_app(print=None, access_log=None, shutdown_timeout=_GOODBYE_S)
    except OSError as error:
        raise LabError(
            f"cannot listen on {options.address} port {options.port}: {error.strerror}",
            hint="stop what listens there, or choose another place with --address and --port",
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ogsim", description="A computer room of OpenGnsys without hardware.")
    parser.add_argument("--version", action="version", version=f"ogsim {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_command = commands.add_parser("demo", help="the whole story once: an image travels to a client")
    demo_command.add_argument("--keep", action="store_true", help="leave the room running until Ctrl-C")
    demo_command.set_defaults(command=_demo)

    bench = commands.add_parser("bench", help="measure").add_subparsers(required=True, metavar="WHAT")
    for name, size, text in (
        ("restore", 2, "this engine against the pipelines that it replaces; needs root"),
        ("redeploy", 4, "what is spared when partition or CACHE hold the image already; needs root"),
        ("media", 1, "what is asked of disks that are slow; needs root"),
    ):
        what = bench.add_parser(name, help=text)
        what.add_argument("--size", type=_bytes, default=size << 30, metavar=f"{size}G", help="of the partition")
        what.add_argument("--json", type=Path, metavar="FILE", help="the figures, for a program")
        what.set_defaults(command=_bench, what=name)

    repository = commands.add_parser("repository", help="serve a directory of images")
    repository.add_argument("--images", type=Path, required=True, metavar="DIR")
    repository.add_argument("--sample", action="store_true", help="make image-test in it first")
    repository.add_argument("--mbit", type=_megabits, default=0, metavar="N", help="so many megabits a second for each")
    _add_faults(repository)
    _add_place(repository, "127.0.68.55", 8443)
    security = repository.add_mutually_exclusive_group(required=True)
    security.add_argument("--tls", type=Path, metavar="DIR", help=_TLS_HELP)
    security.add_argument("--plain", dest="tls", action="store_const", const=None, help="HTTP without TLS")
    repository.set_defaults(command=_repository)

    lab_command = commands.add_parser("lab", help="a computer room with a console in the browser, until Ctrl-C")
    lab_command.add_argument("--clients", type=_client_count, default=6, metavar="N", help="default 6")
    lab_command.add_argument("--profile", type=Path, action="append", default=[], metavar="FILE", help=_PROFILE_HELP)
    lab_command.add_argument("--mbit", type=int, choices=range(1, 1001), default=40, metavar="N", help=_MBIT_HELP)
    lab_command.add_argument("--fault", action="append", default=[], metavar="SPEC", help=_FAULT_HELP)
    _add_place(lab_command, "127.0.0.1", 8080)
    lab_command.set_defaults(command=_lab)

    ogcore = commands.add_parser("ogcore", help="run ogCore, for clients that are real or not")
    ogcore.add_argument("--clients", type=Path, metavar="FILE", help=_CLIENTS_HELP)
    ogcore.add_argument("--memory", type=Path, metavar="FILE", help="where it remembers agents and traces")
    ogcore.add_argument("--console", type=int, metavar="PORT", help="with its console on this port of 127.0.0.1")
    ogcore.add_argument("--repository", default="https://127.0.68.55:8443", metavar="URL")
    _add_place(ogcore, "127.0.2.1", 8443)
    ogcore.add_argument("--tls", type=Path, required=True, metavar="DIR", help=_TLS_HELP)
    ogcore.set_defaults(command=_ogcore)

    agent = commands.add_parser("agent", help="run the real agent on disks that are files")
    agent.add_argument("--config", type=Path, required=True, metavar="FILE")
    agent.add_argument("--disk", type=Path, required=True, nargs="+", metavar="FILE", help="disk 1, disk 2, …")
    agent.add_argument("--profile", type=Path, metavar="FILE", help="what the files do not tell: models, mounts")
    agent.add_argument("--nvram", type=Path, metavar="FILE", help="where is kept from which partition it boots next")
    _add_faults(agent)
    agent.set_defaults(command=_agent)

    boot = commands.add_parser("boot", help="be a client that has booted from its disk, if that boots")
    boot.add_argument("--disk", type=Path, required=True, metavar="FILE")
    boot.add_argument("--partition", type=int, default=2, metavar="N")
    boot.add_argument("--ogcore", default="https://127.0.2.1:8443", metavar="URL")
    _add_place(boot, "127.0.2.3", 8000)
    boot.add_argument("--tls", type=Path, required=True, metavar="DIR", help=_TLS_HELP)
    boot.set_defaults(command=_boot)
    return parser


_FAULTS_HELP: Final = "what goes wrong, one a line, disk:full@1MiB, say; may change while this runs"
_CLIENTS_HELP: Final = 'JSON, [{"name": "pc1", "mac": …, "ip": …}]; default: those of the demonstration'
_PROFILE_HELP: Final = "a machine; given several times, dealt out in turn; default: one of each kind"
_MBIT_HELP: Final = "speed of each client's cable in megabits a second, default 40"
_FAULT_HELP: Final = "what goes wrong from the start, pc1:link=2, say; may be given several times"
_TLS_HELP: Final = "directory of the lab's certificate authority, made when there is none"


def _add_faults(command: argparse.ArgumentParser) -> None:
    command.add_argument("--faults", type=Path, metavar="FILE", help=_FAULTS_HELP)


def _add_place(command: argparse.ArgumentParser, address: str, port: int) -> None:
    command.add_argument("--address", default=address, help=f"default {address}")
    command.add_argument("--port", type=int, default=port, help=f"default {port}")


def _bytes(text: str) -> int:
    """``4G``, ``512M``."""
    found = re.fullmatch(r"(\d{1,6})([MG])", text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no size: write 4G or 512M")
    return int(found[1]) << (30 if found[2] == "G" else 20)


def _client_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CLIENTS:
        raise argparse.ArgumentTypeError(f"a room has between 1 and {MOST_CLIENTS} clients")
    return int(text)


def _megabits(text: str) -> int:
    """In bytes a second."""
    rate = float(text) * _MEGABIT
    if not 1 <= rate < 1 << 40:
        raise argparse.ArgumentTypeError(f"{text} is no speed for a network")
    return int(rate)
