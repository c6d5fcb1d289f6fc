"""``ogagent config``: what is wrong with a configuration, and what one of OpenGnsys' agent before this one becomes."""

from __future__ import annotations

import argparse
import configparser
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from ogagent.errors import SettingsError
from ogagent.settings import checked, load
from ogagent.settings_text import Value, rewritten

_SECTION: Final = "opengnsys"
_REST: Final = "/opengnsys/rest"
"""What follows the address in ``remote``; here it is in the paths of [ogcore]."""
_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "error",
    "critical": "error",
}
_WITHOUT: Final = {
    "path": "there are no modules to load",
    "altremote": "there is one ogCore",
    "level": "what an agent can do follows from where it runs, see [machine]",
    "activity": "what an agent can do follows from where it runs, see [machine]",
    "imgname": "it has no use here",
    "urlmenu": "this agent shows no menu",
    "pathinterface": "this agent starts no interface of OpenGnsys",
}


class _Taken(Struct, frozen=True):
    section: str
    name: str
    value: Value


def add_command(command: argparse.ArgumentParser) -> None:
    action = command.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", type=Path, metavar="FILE", help="say what is wrong with it")
    action.add_argument(
        "--import",
        dest="old",
        type=Path,
        metavar="CFG",
        help="read the ogagent.cfg of OpenGnsys' agent before this one",
    )
    command.add_argument("--into", type=Path, metavar="FILE", help="with --import: a configuration to write it into")
    command.set_defaults(command=_config)


def _config(options: argparse.Namespace) -> None:
    if options.old is not None:
        _import(options.old, options.into)
        return
    load(options.check, {}, "")
    _say(f"{options.check}: nothing is wrong with it; whether what it names is there, ogagent check says on the PC")


def _import(old: Path, into: Path | None) -> None:
    """What cannot be taken over is said, and stops nothing. Raises SettingsError for a file that cannot be read."""
    text = _read(into) if into else ""
    for key, value in _members(old):
        try:
            taken = _taken(key, value)
            changed = rewritten(text, taken.section, {taken.name: taken.value})
            checked(changed, str(into or old))
        except (ValueError, SettingsError) as error:
            _say(f"not taken over: {key} = {value}: {error}")
        else:
            text = changed
            _say(f"{taken.section}.{taken.name} = {taken.value}")
    if into:
        _replace(into, text)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _members(old: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_read(old), str(old))
    except configparser.Error as error:
        raise SettingsError(f"{old}: is no configuration of OpenGnsys' agent: {error}") from error
    if not parser.has_section(_SECTION):
        raise SettingsError(f"{old}: is no configuration of OpenGnsys' agent: [{_SECTION}] is missing")
    yield from parser.items(_SECTION)


def _taken(key: str, value: str) -> _Taken:
    """Raises ValueError with the reason for what has no place here."""
    match key:
        case "address":
            return _Taken("server", "address", value)
        case "port":
            return _Taken("server", "port", int(value))
        case "remote":
            return _Taken("ogcore", "url", _ogcore(value))
        case "log":
            if value.lower() not in _LEVELS:
                raise ValueError("there is no such level")
            return _Taken("log", "level", _LEVELS[value.lower()])
    raise ValueError(_WITHOUT.get(key, "it is not known here"))


def _ogcore(remote: str) -> str:
    parts = urlsplit(remote)
    if parts.path.rstrip("/") not in ("", _REST):
        raise ValueError(f"the calls of ogCore begin with {_REST}, see [ogcore]")
    return f"{parts.scheme}://{parts.netloc}"


def _replace(file: Path, text: str) -> None:
    """Whole or not at all, and for nobody else to read."""
    fd, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with open(fd, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(fd)
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink()
        raise


def _say(line: str) -> None:
    print(line)  # noqa: T201 - this is what was asked for
