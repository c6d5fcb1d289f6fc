"""``python -m tests.machine.prepare``: makes the systems that are not there yet, from Debian's packages, as root.

The tests have no network of the machine's, so this comes before them. With ``--ubuntu`` the package meets one as well.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from tests.machine import kept, live_root
from tests.machine.models import BOOKWORM, TRIXIE
from tests.machine.tools import run
from tests.package import roots

_CLONE_NEWNS: Final = 0x00020000  # linux/sched.h

Makers = dict[str, Callable[[], Path]]


def absent() -> list[str]:
    recipes = (roots.recipe_of_wheels(), BOOKWORM.recipe, TRIXIE.recipe, live_root.recipe())
    return [recipe.name for recipe in recipes if not kept.is_kept(recipe)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.machine.prepare")
    parser.add_argument("--ubuntu", action="store_true", help="a root of Ubuntu as well, for the tests of the package")
    options = parser.parse_args()
    _see_mounts_alone()
    with kept.nobody_else():
        _make(
            _for_packages(roots.SUITES if options.ubuntu else roots.DEBIAN)
        )  # first: whoever waits for these needs nothing else
        _make(_for_machines())


def _see_mounts_alone() -> None:
    """What is mounted on the way goes with this process, however that ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise SystemExit(f"systems are made by root: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def _for_packages(suites: Iterable[str]) -> Makers:
    return {"wheels": roots.fetched, **{suite: partial(roots.root, suite) for suite in suites}}


def _for_machines() -> Makers:
    return {BOOKWORM.name: BOOKWORM.disk, TRIXIE.name: TRIXIE.disk, "live": live_root.base}


def _make(makers: Makers) -> None:
    for name, make in makers.items():
        began = time.monotonic()
        place = make()
        print(f"{name}: {place} ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
