"""Where partitions are put. Pure arithmetic, in bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from ogagent.disk.layout import Span
from ogagent.errors import TableDoesNotFit
from ogagent.model.units import MIB, format_bytes

GRAIN: Final = MIB


class Wanted(Struct, frozen=True, kw_only=True):
    """``size`` None: the rest. ``pin``: where it lies now, when it may stay there. ``new``: it is nowhere now."""

    number: int
    size: int | None
    pin: Span | None = None
    new: bool = False


class Room(Struct, frozen=True, kw_only=True):
    """``span`` is for new partitions; those that are there may lie anywhere in ``around``. ``taken`` is nobody's.
    ``gap`` bytes stay free before each new one.
    """

    span: Span
    around: Span
    taken: tuple[Span, ...] = ()
    gap: int = 0


def place(wanted: Sequence[Wanted], room: Room) -> Mapping[int, Span]:
    """One after the other, in this order, the last perhaps with the rest. What is pinned stays where it is unless one
    before it needs the place; a new one needs it only where there is no other room. Raises TableDoesNotFit.
    """
    try:
        return _placed(wanted, room, beside=True)
    except TableDoesNotFit:
        return _placed(wanted, room, beside=False)


def _placed(wanted: Sequence[Wanted], room: Room, *, beside: bool) -> Mapping[int, Span]:
    """``beside``: new ones look for room beside those that are pinned, wherever that is."""
    pins = {each.number: each.pin for each in wanted if each.pin and _is_free(each.pin, room)}
    sized = {each.number for each in wanted if each.size is not None}
    placed: dict[int, Span] = {}
    cursor = room.span.start
    for each in wanted:
        pin = pins.pop(each.number, None)
        if pin is None or each.size is None:
            unchanged = [span for number, span in pins.items() if number in sized]
            found = _beside(each, cursor, room, [*placed.values(), *unchanged]) if beside and each.new else None
            fresh = found or _fresh(each, cursor, room, placed.values())
            pin = pin if pin and _alike(pin, fresh) and not _meets(pin, placed.values()) else fresh
            pins = {number: span for number, span in pins.items() if not _widened(span, room).meets(pin)}
        placed[each.number] = pin
        cursor = pin.end
    return placed


def align_up(offset: int) -> int:
    return -(-offset // GRAIN) * GRAIN


def align_down(offset: int) -> int:
    return offset // GRAIN * GRAIN


def _beside(wanted: Wanted, cursor: int, room: Room, others: Collection[Span]) -> Span | None:
    """The rest is what follows the last one, and nowhere else."""
    if wanted.size is None:
        return None
    return _free(wanted, cursor, room, others) or _free(wanted, room.span.start, room, others)


def _fresh(wanted: Wanted, cursor: int, room: Room, placed: Iterable[Span]) -> Span:
    if found := _free(wanted, cursor, room, placed):
        return found
    free = max(0, room.span.end - align_up(cursor + room.gap))
    need = "some room" if wanted.size is None else format_bytes(wanted.size)
    raise TableDoesNotFit(
        f"partition {wanted.number} needs {need}, and there are {format_bytes(free)} left where it would lie",
        hint="make it or those before it smaller, or leave its size out for the rest",
        field="tam",
    )


def _free(wanted: Wanted, cursor: int, room: Room, others: Iterable[Span]) -> Span | None:
    """The first room for it from the cursor on."""
    obstacles = [_widened(span, room) for span in (*room.taken, *others)]
    start = align_up(cursor + room.gap)
    while start < room.span.end:
        limit = min((each.start for each in obstacles if each.end > start), default=room.span.end)
        end = min(align_down(max(limit, start)), room.span.end) if wanted.size is None else start + wanted.size
        if start < end <= min(limit, room.span.end):
            return Span(start, end)
        later = [align_up(each.end + room.gap) for each in obstacles if each.end > start]
        start = min(later, default=room.span.end)
    return None


def _is_free(pin: Span, room: Room) -> bool:
    return room.around.holds(pin) and not _meets(pin, room.taken)


def _widened(span: Span, room: Room) -> Span:
    return Span(span.start - room.gap, span.end)


def _meets(span: Span, others: Iterable[Span]) -> bool:
    return any(span.meets(other) for other in others)


def _alike(one: Span, other: Span) -> bool:
    """Nothing that is worth the name would be won by moving it."""
    return abs(one.start - other.start) < GRAIN and abs(one.end - other.end) < GRAIN
