"""What a program inherits from whoever starts it, and must not depend on."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Final

_IGNORED_BY_PYTHON: Final = {signal.SIGPIPE, signal.SIGXFSZ}
"""By every Python, and not in what it starts: CPython's ``init_signals`` and ``restore_signals`` of ``subprocess``."""
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def forget_inherited() -> None:
    """For the main thread, before anything else is set up. Twice is as good as once."""
    _forget_signals()
    _open_closed_streams()
    _take_any_text()


def _forget_signals() -> None:
    """All are answered again, here and in what is started from here.

    A shell lets what it starts in the background ignore SIGINT. Where SIGCHLD is ignored, the kernel throws away how
    children ended, and a tool that failed looks like one that did well. What is blocked would never arrive.
    """
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_closed_streams() -> None:
    """Otherwise the disk that is opened next would be standard output, and what is printed would be written to it."""
    for wanted, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(wanted)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open(2) takes the lowest number that is free
            setattr(sys, name, os.fdopen(wanted, mode, encoding="utf-8", closefd=False))


def _take_any_text() -> None:
    """In a locale that lacks a character its number is shown, and nothing fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
