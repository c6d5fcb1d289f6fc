"""Values on a command line that are no plain words or numbers. Each raises ArgumentTypeError for what is none."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from simulator.lab.hosts import MOST_CLIENTS

T = TypeVar("T")

_MEGABIT: Final = 1_000_000 / 8


def size(text: str) -> int:
    """``4G``, ``512M``."""
    found = re.fullmatch(r"(\d{1,6})([MG])", text)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no size: write 4G or 512M")
    return int(found[1]) << (30 if found[2] == "G" else 20)


def mebibytes(text: str) -> int:
    """In bytes."""
    if not text.isdecimal() or not 1 <= int(text) < 1 << 30:
        raise argparse.ArgumentTypeError(f"{text} is no number of MiB")
    return int(text) << 20


def client_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CLIENTS:
        raise argparse.ArgumentTypeError(f"a room has between 1 and {MOST_CLIENTS} clients")
    return int(text)


def megabits(text: str) -> int:
    """In bytes a second."""
    rate = float(text) * _MEGABIT
    if not 1 <= rate < 1 << 40:
        raise argparse.ArgumentTypeError(f"{text} is no speed for a network")
    return int(rate)


def positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def one_of(words: Sequence[str]) -> Callable[[str], str]:
    def word(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(words)}")
        return text

    return word


def several(one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """With commas between them."""
    return lambda text: tuple(one(each) for each in text.split(","))
