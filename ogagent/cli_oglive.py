"""``ogagent oglive``: the agent put into the image of an ogLive."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ogagent.errors import SettingsError
from ogagent.oglive.add import Addition, add
from ogagent.settings_urls import check_ogcore_url


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("add", help="put the agent into an image, which stays as .ant")
    command.add_argument("image", type=Path, metavar="IMAGE", help="ogclient.sqfs of an ogLive")
    command.add_argument("--deb", type=Path, required=True, metavar="FILE", help="the agent's package")
    command.add_argument("--ogcore", default="", metavar="URL", help="where ogCore is, https")
    command.add_argument("--ca", type=Path, metavar="FILE", help="the CA that vouches for ogCore, PEM")
    command.set_defaults(command=_add)


def _add(options: argparse.Namespace) -> None:
    if options.ogcore:
        try:
            check_ogcore_url(options.ogcore)
        except ValueError as error:
            raise SettingsError(f"--ogcore: {error}") from error
    for file in filter(None, (options.image, options.deb, options.ca)):
        file.open("rb").close()
    asyncio.run(add(options.image, Addition(options.deb, options.ogcore, options.ca), _say))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - it takes minutes
