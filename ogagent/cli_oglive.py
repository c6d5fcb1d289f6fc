"""``ogagent oglive``: the agent put into the image of an ogLive."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from ogagent.errors import NotAdded, SettingsError
from ogagent.oglive.add import Addition, Identity, add, add_to_tree
from ogagent.oglive.namespace import begin_anew, is_wholly_root, require_namespaces
from ogagent.settings_urls import check_ogcore_url
from ogagent.system.tls import client_context, given_identity

_PACKAGE: Final = b"!<arch>\ndebian-binary"
"""deb(5)."""
_SECRET: Final = b"PRIVATE KEY-----"
"""RFC 7468, and the older labels of OpenSSL."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("add", help="put the agent into an image, which stays as .ant")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("image", type=Path, nargs="?", metavar="IMAGE", help="ogclient.sqfs of an ogLive")
    what.add_argument("--dir", type=Path, metavar="DIR", help="the root of an ogLive that is no image; only as root")
    command.add_argument("--deb", type=Path, required=True, metavar="FILE", help="the agent's package")
    command.add_argument("--ogcore", default="", metavar="URL", help="where ogCore is, https")
    command.add_argument("--ca", type=Path, metavar="FILE", help="the CA that vouches for ogCore, PEM")
    command.add_argument("--certificate", type=Path, metavar="FILE", help="what the agents show to callers, PEM")
    command.add_argument("--key", type=Path, metavar="FILE", help="its key, PEM; whoever can read the image has it")
    command.set_defaults(command=_add)


def _add(options: argparse.Namespace) -> None:
    if options.ogcore:
        try:
            check_ogcore_url(options.ogcore)
        except ValueError as error:
            raise SettingsError(f"--ogcore: {error}") from error
    for file in filter(None, (options.image, options.deb, options.ca, options.certificate, options.key)):
        file.open("rb").close()
    _check(options)
    addition = Addition(options.deb, options.ogcore, options.ca, _identity(options.certificate, options.key))
    if options.dir:
        asyncio.run(add_to_tree(_replaceable(options.dir), addition, _say))
        return
    if os.geteuid() != 0:
        asyncio.run(require_namespaces())
        begin_anew(sys.argv[1:])
    asyncio.run(add(options.image, addition, _say))


def _check(options: argparse.Namespace) -> None:
    """What would be found out late, or never: all PCs can read what is brought into their image."""
    with options.deb.open("rb") as deb:
        if deb.read(len(_PACKAGE)) != _PACKAGE:
            raise NotAdded(f"{options.deb} is no package", hint="--deb names the .deb of the agent")
    if options.ca:
        if _SECRET in options.ca.read_bytes():
            raise SettingsError(f"--ca: {options.ca} holds a private key", hint="give the certificate of the CA alone")
        client_context(str(options.ca), "--ca")


def _replaceable(tree: Path) -> Path:
    """As a whole."""
    if not is_wholly_root():
        raise NotAdded(f"only root can keep the owners of the files in {tree}", hint="run it as root")
    if not tree.is_dir():
        raise NotAdded(f"{tree} is no directory", hint="leave --dir out for an image")
    if tree.is_mount():
        raise NotAdded(f"{tree} is a mount point, which cannot be replaced", hint="name a directory in it")
    return tree.resolve()


def _identity(certificate: Path | None, key: Path | None) -> Identity | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingsError("--certificate and --key belong together", hint="give both, or none")
    given_identity(certificate, key)
    return Identity(certificate, key)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - it takes minutes
