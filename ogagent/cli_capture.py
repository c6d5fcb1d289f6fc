"""``ogagent capture``: an image of one block device or file, made by hand with the engine of the agent."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar

from ogagent.cli_image import add_threads, print_json
from ogagent.errors import FilesystemNotSupported, InvalidField, ModelNotClean
from ogagent.image.seekable import LEVELS
from ogagent.model.units import format_bytes
from ogagent.settings import Settings

if TYPE_CHECKING:
    from ogagent.capture.job import Made, Making
    from ogagent.capture.progress import CaptureProgress
    from ogagent.capture.request import CapturePlan

_POLL_S: Final = 0.1
_SUFFIX: Final = ".img"


def add_command(command: argparse.ArgumentParser, settings: Callable[[Path | None], Settings]) -> None:
    """``settings`` are those of the agent of this machine."""
    command.add_argument("device", metavar="DEVICE", help="a block device that nobody uses, or a file")
    command.add_argument("target", metavar="TARGET", help="a file, or an https URL, that ends in .img")
    command.add_argument(
        "--level", type=int, choices=LEVELS, metavar="N", default=3, help="of zstd, 1 to 19 (default: %(default)s)"
    )
    add_threads(command)
    command.add_argument("--key", metavar="KEY.pem", type=Path, help="sign the image with this Ed25519 private key")
    command.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not read back what the repository has kept"
    )
    command.add_argument("--reduce", action="store_true", help="shrink the file system before, and grow it back after")
    command.add_argument("--whole", action="store_true", help="take all of it, whatever file system is on it")
    command.add_argument("--ca", default="", metavar="FILE", help="CA of an https target")
    command.add_argument("--credential", default="", metavar="FILE", help="holds what an https target wants to see")
    command.add_argument("--json", action="store_true", help="print what was made as JSON")
    command.add_argument("--config", type=Path, metavar="FILE", help="the agent's configuration, for disks.exclude")
    command.set_defaults(command=lambda options: _capture(options, settings(options.config)))


def _capture(options: argparse.Namespace, settings: Settings) -> None:
    """Raises AgentError; the target is then what it was before."""
    from ogagent.capture.progress import CaptureProgress
    from ogagent.disk.excluded import Exclusions

    if options.reduce:  # all else leaves it as it is
        Exclusions(settings.disks.exclude).refuse_path(options.device)
    progress = CaptureProgress(job_id=f"capture-{secrets.token_hex(4)}", verify_wanted=options.verify)
    made = asyncio.run(_shown(_plan(options), _making(options), progress, Console(stderr=True)))
    if options.json:
        print_json({"image": made, "bytes": progress.counts, "timings": progress.timings})
    else:
        _say(options.target, made, progress)


def _plan(options: argparse.Namespace) -> CapturePlan:
    from ogagent.capture.request import CapturePlan, CaptureRequest
    from ogagent.disk.by_path import target_at
    from ogagent.disk.content import probe
    from ogagent.image.strangers import DISK_HEAD, disk_in
    from ogagent.model.filesystem import by_blkid
    from ogagent.resize.reduce import reducible

    target = target_at(options.device)
    if not target.size:
        raise FilesystemNotSupported(f"{options.device} has no bytes", hint="name a partition, or a file that is one")
    with Path(options.device).open("rb") as device:
        found = probe(device.fileno(), 0, target.size)
        disk = disk_in(os.pread(device.fileno(), DISK_HEAD, 0))
    if found.hibernated:
        raise ModelNotClean(f"a system sleeps in {options.device}", hint="start it, and shut it down")
    known = by_blkid(found.filesystem)
    if not found.filesystem and disk is not None:
        raise FilesystemNotSupported(f"{options.device} is {disk.name}", hint="name one of its partitions")
    if not options.whole and (known is None or known.partclone is None):
        raise FilesystemNotSupported(
            f"{options.device} holds {found.filesystem or 'no file system'}", hint="take all of it: --whole"
        )
    return CapturePlan(
        request=CaptureRequest(dsk=1, par=1, idi="", nci="", ipr=""),
        target=target,
        filesystem=found.filesystem,
        destination=_destination(options.target, options.device),
        whole=options.whole,
        reduce=options.reduce and not options.whole and reducible(found.filesystem),
    )


def _destination(target: str, device: str) -> str:
    """Its URL. Raises InvalidField, RepositoryUnreachable."""
    from ogagent.source.location import parsed_url

    url = target if "://" in target else Path(target).absolute().as_uri()
    if not url.endswith(_SUFFIX):
        raise InvalidField(f"{target} does not end in {_SUFFIX}", hint="so repositories know an image")
    location = parsed_url(url)
    if location.scheme == "file" and (path := Path(location.path)).exists() and path.samefile(device):
        raise InvalidField(f"{target} is the partition itself", hint="name another file for its image")
    return url


def _making(options: argparse.Namespace) -> Making:
    from ogagent.capture.job import Making
    from ogagent.capture.store import StorePolicy
    from ogagent.image.signature import signing_key
    from ogagent.source.source import SourcePolicy
    from ogagent.system.tls import client_context

    source = SourcePolicy(tls=client_context(options.ca, "--ca"), networks=None, stall_timeout_s=30, retry_for_s=60)
    return Making(
        store=StorePolicy(source=source, token_file=options.credential),
        level=options.level,
        threads=options.threads,
        folder=Path("/var/tmp"),  # noqa: S108 - what shrinking may have to undo outlives a restart there
        verify=options.verify,
        key=None if options.key is None else signing_key(options.key.read_bytes(), str(options.key)),
    )


async def _shown(plan: CapturePlan, making: Making, progress: CaptureProgress, console: Console) -> Made:
    from ogagent.capture.job import capture
    from ogagent.capture.real import RealModels
    from ogagent.disk.by_path import ByPath

    machine = ByPath()
    work = asyncio.create_task(capture(plan, machine, RealModels(machine), making, progress))
    columns = (
        TextColumn("{task.description:<12}"), BarColumn(), DownloadColumn(binary_units=True),
        TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    try:
        with ProgressBar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            phase = None
            task = bar.add_task("checking", total=None)
            while not work.done():
                if progress.phase is not phase and progress.phase is not None:
                    phase = progress.phase
                    bar.reset(task, description=phase)
                left = progress.left
                bar.update(task, completed=progress.done, total=None if left is None else progress.done + left)
                await asyncio.wait([work], timeout=_POLL_S)
    finally:
        work.cancel()
        await asyncio.wait([work])
    return await work


def _say(target: str, made: Made, progress: CaptureProgress) -> None:
    kind = f" of {made.filesystem}" if made.filesystem else ""
    ratio = made.used / made.size if made.size else 0.0
    proven = "read back and proven" if progress.verify_wanted else "not read back"
    slowest = f"; most of the time went into {progress.bottleneck}" if progress.bottleneck else ""
    seconds = sum(progress.timings.seconds.values())
    for warning in progress.warnings:
        Console().print(warning, highlight=False, markup=False, emoji=False, soft_wrap=True)
    Console().print(
        f"{target}: {format_bytes(made.size)} for {format_bytes(made.used)}{kind} "
        f"({ratio:.1f} : 1), {proven}, in {seconds:.1f} s{slowest}.",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )
