"""``ogagent check``: what the agent depends on. What of it is wrong also stands in the log of a start."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Final

from ogagent.check.check import check, quick_check
from ogagent.check.finding import Finding, Verdict
from ogagent.check.machine import CLOCK
from ogagent.cli_image import print_json
from ogagent.disk.machine import Machine
from ogagent.settings import Settings

_log: Final = logging.getLogger(__name__)

Subject = tuple[Settings, Machine | None]


def add_options(command: argparse.ArgumentParser, subject: Callable[[argparse.Namespace], Subject]) -> None:
    """``subject``: the settings that the options mean, and the disks; None on an installed system."""
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.set_defaults(command=lambda options: _check(*subject(options), as_json=options.json))


def tell(settings: Settings, disks: Machine | None) -> None:
    """Of what does not keep a start waiting: neither disks nor ogCore are asked."""
    found = asyncio.run(quick_check(settings, disks))
    for each in found:
        if each.what == CLOCK:  # the service doubts it itself
            continue
        level = logging.DEBUG if each.state is Verdict.OK else logging.WARNING
        _log.log(level, "%s: %s%s", each.what, each.said, f" ({each.hint})" if each.hint else "")


def _check(settings: Settings, disks: Machine | None, *, as_json: bool) -> None:
    found = asyncio.run(check(settings, disks))
    if as_json:
        print_json(found)
    else:
        print(as_text(found))  # noqa: T201 - this is what was asked for
    if any(each.state is Verdict.PROBLEM for each in found):
        sys.exit(1)


def as_text(found: list[Finding]) -> str:
    wide = max(len(each.what) for each in found)
    lines = list[str]()
    for each in found:
        lines.append(f"{each.state.value:<8} {each.what:<{wide}}  {each.said}")
        if each.hint:
            lines.append(f"{'':<8} {'':<{wide}}  → {each.hint}")
    return "\n".join(lines)
