"""``ogagent image``: the commands for image files."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar

from ogagent.image.regions import LARGEST_REGION, SMALLEST_REGION
from ogagent.image.seekable import LEVELS
from ogagent.image.signature import public_key, signing_key
from ogagent.imagefile.check import Verified, describe, read_header, verify
from ogagent.imagefile.diff import difference, load_beside
from ogagent.imagefile.make import LEVEL, Wanted, make_index
from ogagent.imagefile.progress import Report
from ogagent.imagefile.torrent import make_torrent
from ogagent.model.units import KIB, MIB, format_bytes
from ogagent.settings import RestoreSettings, Window

_MOST_THREADS: Final = 64


def add_commands(parser: argparse.ArgumentParser) -> None:
    image = parser.add_subparsers(required=True, metavar="COMMAND")
    info = image.add_parser("info", help="what the image says of itself")
    info.add_argument("file", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true")
    add_max_window(info)
    info.set_defaults(command=_info)

    check = image.add_parser("verify", help="read all, prove all, write nothing: image, sum, index, signature")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--key", type=Path, metavar="PUBLIC", help="Ed25519 public key (PEM) that must have signed it")
    add_threads(check)
    add_max_window(check)
    check.set_defaults(command=_verify)

    index = image.add_parser("index", help="make the image's index, and put its content in frames if it is not")
    index.add_argument("file", type=Path, metavar="FILE")
    index.add_argument("--key", type=Path, metavar="KEY", help="Ed25519 private key (PEM) to sign with")
    index.add_argument(
        "--region-size", type=_region_size, metavar="SIZE", help="64K to 16M, a power of two (default: 1M)"
    )
    index.add_argument(
        "--level", type=int, choices=LEVELS, metavar="LEVEL", help=f"of zstd, 1 to {LEVELS[-1]} (default: {LEVEL})"
    )
    index.add_argument("--torrent", metavar="URL", help="write FILE.torrent, too, for the tracker at this address")
    add_threads(index)
    add_max_window(index)
    index.set_defaults(command=_index)

    diff = image.add_parser("diff", help="how many regions and bytes of two indexed images differ")
    diff.add_argument("old", type=Path, metavar="OLD")
    diff.add_argument("new", type=Path, metavar="NEW")
    diff.add_argument("--json", action="store_true")
    diff.set_defaults(command=_diff)


def add_max_window(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--max-window",
        type=_window,
        default=RestoreSettings().max_window,
        metavar="BYTES",
        help="memory that a zstd image may need for its window (default: %(default)s)",
    )


def print_json(value: object) -> None:
    """In ASCII, which every standard output can hold."""
    _say(json.dumps(msgspec.to_builtins(value), indent=2))


def _info(options: argparse.Namespace) -> None:
    header = read_header(options.file, options.max_window)
    if options.json:
        print_json(header)
    else:
        _say(describe(header))


def _verify(options: argparse.Namespace) -> None:
    key = None if options.key is None else public_key(options.key.read_bytes(), str(options.key))
    with _bar() as report:
        verified = verify(options.file, key, options.threads, options.max_window, report)
    _say(f"{options.file}: good. {describe(verified.header)}; {_describe_index(verified)}")
    for warning in verified.warnings:
        _say(warning)


def _describe_index(verified: Verified) -> str:
    if verified.index is None:
        return "no index"
    regions = f"index: {verified.index.count} regions of {format_bytes(verified.index.region_size)}"
    signed = {"none": "not signed", "good": "the signature is good", "unchecked": "signature not checked (--key)"}
    return f"{regions}, {signed[verified.signature]}"


def _index(options: argparse.Namespace) -> None:
    key = None if options.key is None else signing_key(options.key.read_bytes(), str(options.key))
    wanted = Wanted(options.region_size, options.level, options.threads, options.max_window, key)
    with _bar() as report:
        index, before = make_index(options.file, wanted, report)
    if options.torrent:
        make_torrent(options.file, options.torrent)
    signed = "" if key is None else ", signed"
    _say(
        f"{options.file}: {index.count} regions of {format_bytes(index.region_size)}, "
        f"{index.size} bytes (before: {before}){signed}"
    )


def _diff(options: argparse.Namespace) -> None:
    found = difference(load_beside(options.old), load_beside(options.new))
    if options.json:
        print_json(found)
    else:
        _say(
            f"regions: {found.same} the same, {found.changed} changed, {found.added} new, {found.removed} gone\n"
            f"to fetch: {format_bytes(found.bytes_to_fetch)} of {format_bytes(found.bytes_of_image)}"
        )


def add_threads(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--threads",
        type=int,
        choices=range(1, _MOST_THREADS + 1),
        metavar="N",
        default=min(os.cpu_count() or 1, _MOST_THREADS),
        help="how many compress or decompress at once (default: one a processor)",
    )


def _window(text: str) -> int:
    try:
        return msgspec.convert(text, Window, strict=False)
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _region_size(text: str) -> int:
    units = {"K": KIB, "M": MIB}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    size = int(number) * unit
    if not SMALLEST_REGION <= size <= LARGEST_REGION or size & (size - 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no power of two from 64K to 16M")
    return size


@contextmanager
def _bar() -> Iterator[Report]:
    """On standard error: what is printed at the end can be kept."""
    columns = (
        TextColumn("{task.description:<12}"), BarColumn(), DownloadColumn(binary_units=True),
        TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with ProgressBar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        doing = ""

        def report(what: str, done: int, total: int) -> None:
            nonlocal doing
            if what != doing:
                doing = what
                bar.reset(task, description=what, total=total)
            bar.update(task, completed=done)

        yield report


def _say(text: str) -> None:
    Console().print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)
