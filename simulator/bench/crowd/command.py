"""``ogsim bench crowd``: a room that gets one image together, row by row, each told as soon as it is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console

from simulator.bench.crowd.aims import aims
from simulator.bench.crowd.cases import CLIENTS, METHODS, TROUBLES, Case, Method, Trouble, cases
from simulator.bench.crowd.images import make_images
from simulator.bench.crowd.room import Place, Row, measure
from simulator.bench.crowd.table import headings, line, notes
from simulator.bench.table import aims_table, machine
from simulator.errors import LabError
from simulator.processes import demand
from simulator.signals import terminated_like_interrupted
from simulator.switch import MOST_HOSTS, TOOLS, congestion_control, demand_root
from simulator.tree import MIB

_QUICK_SIZE: Final = 24 * MIB
_QUICK_MBIT: Final = 40
_QUICK_CLIENTS: Final = (2,)
_QUICK_TROUBLES: Final[Sequence[Trouble]] = ("none",)
_SIZE: Final = 160 * MIB
_MBIT: Final = 16
_TOOLS: Final = (*TOOLS, "nft", "udp-sender", "udp-receiver", "uftp", "uftpd", "mke2fs")


class Wishes(Struct, frozen=True, kw_only=True):
    """What is measured. ``size`` of the partition in bytes, ``mbit`` of each link; None: as usual, or, when it is to be
    ``quick``, little of it. ``plain``: in markdown, and nothing else.
    """

    size: int | None = None
    mbit: int | None = None
    methods: Sequence[Method] = METHODS
    clients: Sequence[int] | None = None
    troubles: Sequence[Trouble] | None = None
    quick: bool = False
    plain: bool = False
    json: Path | None = None


class Result(Struct, frozen=True, kw_only=True):
    """``size`` and ``image`` in bytes, ``mbit`` of each link; ``control`` is how TCP yields to others."""

    machine: str
    control: str
    size: int
    image: int
    mbit: int
    rows: list[Row]


def bench_crowd(wishes: Wishes) -> None:
    """Raises LabError, without root, say."""
    demand_root()
    for tool in _TOOLS:
        demand(tool)
    clients = wishes.clients or (_QUICK_CLIENTS if wishes.quick else CLIENTS)
    if max(clients) + 1 > MOST_HOSTS:
        raise LabError(f"a room of this benchmark has no more than {MOST_HOSTS - 1} clients")
    troubles = wishes.troubles or (_QUICK_TROUBLES if wishes.quick else TROUBLES)
    size = wishes.size or (_QUICK_SIZE if wishes.quick else _SIZE)
    mbit = wishes.mbit or (_QUICK_MBIT if wishes.quick else _MBIT)
    console = Console()
    with (
        terminated_like_interrupted(),
        tempfile.TemporaryDirectory(prefix="ogsim-bench-") as scratch,
        console.status("making the images") as status,
    ):
        place = Place(make_images(Path(scratch), size), mbit, Path(scratch))
        say = status.update if not wishes.plain else _nothing
        _measure(list(cases(wishes.methods, clients, troubles)), place, wishes, console, say)


def _measure(what: Sequence[Case], place: Place, wishes: Wishes, console: Console, say: Callable[[str], None]) -> None:
    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    image = place.images.image
    empty = Result(
        machine=machine(), control=congestion_control(), size=place.images.size, image=image, mbit=place.mbit, rows=[]
    )
    tell(
        f"{empty.machine}; each link {place.mbit} Mbit/s, TCP {empty.control}; an image of {image / 1e6:.0f} MB, of a "
        f"partition of {place.images.size / 1e6:.0f} MB\n"
    )
    tell(headings(plain=wishes.plain))
    rows: list[Row] = []
    for case in what:
        row = with_more(case, rows) if case.reckoned else measure(case, place, say)
        rows.append(row)
        if not rows[0].seconds:
            raise LabError("the one to which all are compared has failed")
        tell(line(row, rows[0], image, plain=wishes.plain))
        if wishes.json:
            wishes.json.write_bytes(msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(empty, rows=rows))))
    for note in notes(rows):
        tell(note)
    if found := aims(rows, image):
        tell("\n" + aims_table(found))


def with_more(case: Case, rows: Sequence[Row]) -> Row:
    """From the largest room that was measured: the link of the repository is what all wait for."""
    known = [row for row in rows if row.case.method == case.method and row.case.trouble == "none"]
    base = max((row for row in known if not row.case.reckoned), key=lambda row: row.case.clients)
    more = case.clients / base.case.clients
    return msgspec.structs.replace(
        base,
        case=case,
        seconds=[seconds * more for seconds in base.seconds],
        sent=int(base.sent * more),
        ranges=base.ranges[:1] * case.clients,
    )


def _nothing(_: str) -> None: ...
