"""What can go wrong in a lab, and who makes it go wrong: ``WHERE:WHAT[@POINT][=VALUE]``.

WHERE is ``ogcore``, ``repository``, or a client. To what simulator/faults.py knows of repositories and disks come
cables and processes: ``pc1:cable``, ``pc1:link=2``, ``pc1:agent``, ``pc1:full@50%``, ``repository:flip@50%``,
``ogcore:stopped``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from simulator.errors import LabError
from simulator.faults import parse_fault
from simulator.lab.cable import Cable
from simulator.lab.room import Room
from simulator.switch import MEGABIT

_OGCORE: Final = "ogcore"
_REPOSITORY: Final = "repository"
_STOPPED: Final = "stopped"
_FASTEST_MBIT: Final = 10_000


class Trouble:
    """``active`` holds the faults that are there, as they were written, in that order. Its methods block."""

    def __init__(self, room: Room, cables: Mapping[str, Cable], mbit: int) -> None:
        """``mbit`` is the speed of a cable that nothing is wrong with."""
        self._room = room
        self._cables = cables
        self._mbit = mbit
        self.active: list[str] = []

    def inject(self, text: str) -> None:
        """Raises LabError for what is no fault of this room, and for what cannot be done now."""
        text = text.strip()
        if text in self.active:
            raise LabError(f"{text} is there already")
        start, _ = self._ways(text)
        start()
        self.active.append(text)
        self._write_faults()

    def heal(self, text: str) -> None:
        if text not in self.active:
            raise LabError(f"{text} is not there (any more)")
        _, stop = self._ways(text)
        self.active.remove(text)
        self._write_faults()
        stop()

    def forget(self, text: str) -> None:
        """A fault that something else has put right: a client that boots again has an agent again."""
        if text in self.active:
            self.active.remove(text)

    def check(self, text: str) -> None:
        """Raises LabError for what is no fault of this room."""
        self._ways(text)

    def _ways(self, text: str) -> tuple[Callable[[], None], Callable[[], None]]:
        """How the fault is made, and how it is put right."""
        where, _, what = text.partition(":")
        if where == _OGCORE:
            return self._of_ogcore(text, what)
        if where == _REPOSITORY:
            parse_fault(text)
            return _nothing, _nothing  # told by a file
        if where in self._room.hosts:
            return self._of_client(where, what)
        known = ", ".join([_OGCORE, _REPOSITORY, *self._room.hosts])
        raise LabError(f"{text!r}: nothing goes wrong at {where!r}", hint=f"faults are of: {known}")

    def _of_ogcore(self, text: str, what: str) -> tuple[Callable[[], None], Callable[[], None]]:
        if what != _STOPPED:
            raise LabError(f"{text!r} is no fault", hint=f"ogcore has: {_STOPPED}")
        return lambda: self._room.stop(_OGCORE), self._room.start_ogcore

    def _of_client(self, name: str, what: str) -> tuple[Callable[[], None], Callable[[], None]]:
        cable = self._cables[name]
        word, _, value = what.partition("=")
        match word:
            case "cable":
                return cable.pull, cable.plug_in
            case "agent":
                return lambda: self._kill(name), lambda: self._room.start_client(name)
            case "link":
                return _speed_setter(cable, _megabits(what, value)), _speed_setter(cable, self._mbit)
            case _:
                parse_fault(f"disk:{what}")
                return _nothing, _nothing  # told by a file

    def _kill(self, name: str) -> None:
        if not self._room.runs(name):
            raise LabError(f"{name} is off")
        self._room.kill(name)

    def _write_faults(self) -> None:
        faults: dict[str, list[str]] = {_REPOSITORY: [], **{name: [] for name in self._room.hosts}}
        for text in self.active:
            where, _, what = text.partition(":")
            if where == _REPOSITORY:
                faults[where].append(text)
            elif where in self._room.hosts and what.partition("=")[0] not in {"cable", "agent", "link"}:
                faults[where].append(f"disk:{what}")
        self._room.repository_faults.write(map(parse_fault, faults.pop(_REPOSITORY)))
        for name, lines in faults.items():
            self._room.hosts[name].faults.write(map(parse_fault, lines))


def _speed_setter(cable: Cable, mbit: int) -> Callable[[], None]:
    return lambda: cable.set_speed(mbit * MEGABIT)


def _megabits(text: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= _FASTEST_MBIT:
        raise LabError(f"{text!r}: a link has a whole number of megabits a second", hint="link=2")
    return int(value)


def _nothing() -> None:
    """It is told by a file."""
