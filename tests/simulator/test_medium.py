"""Disks that take their time: how long, and in which order, without waiting for it."""

from __future__ import annotations

import threading
from typing import Final

import pytest

from simulator.machine.medium import KINDS, Medium

MIB: Final = 1 << 20
WAIT_S: Final = 300


class Clock:
    """Its ``sleep`` only notes how long; ``gate`` holds up whoever comes."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.gate = threading.Event()
        self.gate.set()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        assert self.gate.wait(WAIT_S)


def serve(medium: Medium, *places: int) -> None:
    for offset in places:
        with medium.serving(offset, MIB):
            pass


def test_a_head_moves_where_places_do_not_follow_each_other() -> None:
    clock = Clock()
    medium = Medium(KINDS["hdd"], clock.sleep)
    serve(medium, 0, MIB, 2 * MIB, 9 * MIB, 3 * MIB)
    reading = MIB / 150e6
    assert clock.slept == pytest.approx([reading] * 3 + [0.008 + reading] * 2)
    assert medium.seeks == 2
    medium.flush()
    assert clock.slept[-1] == 0.008


def test_flash_has_no_head() -> None:
    clock = Clock()
    serve(Medium(KINDS["ssd"], clock.sleep), 0, 9 * MIB, MIB)
    assert clock.slept == pytest.approx([0.0001 + MIB / 2e9] * 3)


def waiting(medium: Medium, clock: Clock, places: list[int]) -> list[int]:
    """In which order requests are served that wait while the first one is."""
    served: list[int] = []

    def ask(offset: int) -> None:
        with medium.serving(offset, MIB):
            served.append(offset)

    clock.gate.clear()
    threads = [threading.Thread(target=ask, args=[offset]) for offset in places]
    for number, thread in enumerate(threads):
        thread.start()
        while medium.asked <= number:
            pass
    clock.gate.set()
    for thread in threads:
        thread.join(WAIT_S)
    return served


def test_one_head_serves_one_after_the_other_and_whose_place_is_next_first() -> None:
    clock = Clock()
    medium = Medium(KINDS["hdd"], clock.sleep)
    assert waiting(medium, clock, [0, 3 * MIB, 2 * MIB, MIB]) == [0, MIB, 2 * MIB, 3 * MIB]
    assert medium.seeks == 0
    assert waiting(medium, clock, [5 * MIB, MIB, 9 * MIB]) == [5 * MIB, 9 * MIB, MIB]


def test_flash_serves_many_at_once() -> None:
    clock = Clock()
    clock.gate.clear()
    medium = Medium(KINDS["ssd"], clock.sleep)
    threads = [threading.Thread(target=serve, args=(medium, number * MIB)) for number in range(40)]
    for thread in threads:
        thread.start()
    while medium.asked < 40 or len(clock.slept) < 32:
        pass
    assert len(clock.slept) == 32
    clock.gate.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(clock.slept) == 40
