"""Arguments of ``ogsim bench crowd`` and ``ogsim bench campus``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator.bench.crowd.cases import CLIENTS, METHODS, TROUBLES
from simulator.cli_values import one_of, positive, several, size

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name
    Command = Callable[[argparse.Namespace], None]

_RATE_HELP: Final = "of each link, in Mbit/s; with more than 500 for all together, two cores have too much to do"
_ONLY_HELP: Final = f"of {','.join(METHODS)}"
_CLIENTS_HELP: Final = f"rooms of so many, default {','.join(map(str, CLIENTS))}; troubles in the smallest of them"
_TROUBLES_HELP: Final = f"of {','.join(TROUBLES)}"


def add_crowd_benches(bench: Commands, crowd: Command, campus: Command) -> None:
    what = bench.add_parser("crowd", help="a room that gets one image together, by each method; needs root")
    what.add_argument("--size", type=size, metavar="160M", help="of the partition, which is the image's as well")
    what.add_argument("--rate", dest="mbit", type=positive, metavar="16", help=_RATE_HELP)
    what.add_argument("--clients", type=several(positive), metavar="N,N", help=_CLIENTS_HELP)
    what.add_argument(
        "--only", dest="methods", type=several(one_of(METHODS)), default=METHODS, metavar="METHOD,…", help=_ONLY_HELP
    )
    what.add_argument("--troubles", type=several(one_of(TROUBLES)), metavar="WORD,…", help=_TROUBLES_HELP)
    what.add_argument(
        "--quick", action="store_true", help="a small image for two without troubles, to see that it works"
    )
    what.add_argument("--markdown", dest="plain", action="store_true", help="for a page; nothing is told meanwhile")
    what.add_argument("--json", type=Path, metavar="FILE", help="the figures, for a program; grows row by row")
    what.set_defaults(command=crowd)

    paper = bench.add_parser("campus", help="reckons what many rooms need of repositories, uplinks and trackers")
    paper.add_argument("--rooms", type=positive, default=250, metavar="N", help="default 250")
    paper.add_argument("--pcs", type=positive, default=40, metavar="N", help="in each of them, default 40")
    paper.set_defaults(command=campus)
