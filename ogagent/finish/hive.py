"""A hive of the registry of a restored Windows: read, and edited, in a copy that is the agent's own.

hivexregedit reads and edits it, a process of its own, for a hive may say anything. What it has edited is believed when
it says of the copy what it shall, and of every other value in the same keys what it said before; only then the copy
takes the place of the hive.

Source of the base block, and of what makes a hive dirty: "Windows registry file format specification" by M. Suhanov
(msuhanov/regf). A clean hive is read by Windows without a look into the logs beside it, whatever these hold.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

from ogagent.errors import NotReady, ToolFailed
from ogagent.finish.files import Files
from ogagent.finish.reg_text import Change, Values, parse, render
from ogagent.model.units import MIB
from ogagent.system import process
from ogagent.system.patience import in_thread
from ogagent.system.tree import TooLarge

_TOOL: Final = "hivexregedit"
_LARGEST: Final = 256 * MIB
_TIMEOUT_S: Final = 120.0
_MOST_OUTPUT: Final = 32 * MIB
_ABSENT: Final = "path not found"
_BASE: Final = 4096
_HEAD: Final = struct.Struct("<4sII16xI")
"""Signature, primary and secondary sequence number, and the type of file: 0 is a hive, others are logs."""
_CHECKED: Final = 508
"""Bytes of the base block before its checksum."""

_AGAIN: Final = (
    "start the model's Windows, shut it down with 'shutdown /s /t 0' (fast start-up off), and capture it again"
)


class Hive:
    """A copy, which nobody else has. Everything raises NotReady and ToolMissing."""

    def __init__(self, files: Files, path: str, copy: Path) -> None:
        self._files = files
        self._path = path
        self._copy = copy

    async def values(self, key: str) -> Values | None:
        """Of one key, a path from the root such as ``\\Select``; None when it is not there."""
        return next(iter((await self._export(key, 1)).values()), None)

    async def names(self, key: str) -> list[str]:
        """The paths of the keys in that one."""
        return list(await self._export(key, 2))[1:]

    async def below(self, key: str) -> dict[str, Values]:
        """That key and all keys in it, by their paths; none when it is not there."""
        return await self._export(key, -1)

    async def merge(self, changes: Sequence[Change]) -> None:
        """What differs afterwards is what shall differ."""
        keys = dict.fromkeys(change.key for change in changes)
        expected = {key: dict(await self.values(key) or {}) for key in keys}
        for change in changes:
            expected[change.key].pop(change.name.lower(), None)
            if change.value is not None:
                expected[change.key][change.name.lower()] = change.value
        with self._understood():
            text = render(changes)
            await process.run([_TOOL, "--merge", str(self._copy)], stdin=text, timeout_s=_TIMEOUT_S)
        for key, values in expected.items():
            if await self.values(key) != values:
                raise NotReady(f"{self._path}: {_TOOL} has not changed {key} as it should")

    async def put_back(self) -> None:
        """The copy is the hive of that Windows now."""
        await in_thread(self._replace)

    def _replace(self) -> None:
        content = self._copy.read_bytes()
        check_clean(content, self._path)
        try:
            self._files.replace(self._path, content)
        except OSError as error:
            raise NotReady(f"{self._path} cannot be written: {error.strerror}") from error

    async def _export(self, key: str, depth: int) -> dict[str, Values]:
        command = [_TOOL, "--export", "--max-depth", str(depth), str(self._copy), key]
        with self._understood():
            try:
                return dict(parse(await process.run(command, timeout_s=_TIMEOUT_S, max_output=_MOST_OUTPUT)))
            except ToolFailed as error:
                if _ABSENT in error.message:
                    return {}
                raise

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except ToolFailed as error:
            raise NotReady(f"{self._path}: {error.message}") from error
        except ValueError as error:
            raise NotReady(f"{self._path}: {error}") from error


@asynccontextmanager
async def copied(files: Files, path: str, folder: Path) -> AsyncIterator[Hive]:
    """The hive at ``path``, as a copy in ``folder``, a directory of the agent's own. It goes with the block.

    Raises NotReady, also for a hive that is dirty, damaged, or has more than 256 MiB.
    """
    content = await in_thread(_content, files, path)
    with tempfile.TemporaryDirectory(prefix="hive-", dir=folder) as place:
        copy = Path(place, "hive")
        await in_thread(copy.write_bytes, content)
        yield Hive(files, path, copy)


def _content(files: Files, path: str) -> bytes:
    try:
        content = files.read(path, _LARGEST)
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}") from error
    except TooLarge as error:
        raise NotReady(str(error)) from error
    if content is None:
        raise NotReady(f"there is no {path}")
    check_clean(content, path)
    return content


def check_clean(content: bytes, path: str) -> None:
    """Raises NotReady for what is no hive, and for one whose last changes are in a log beside it."""
    if len(content) < _BASE:
        raise NotReady(f"{path} is no hive of a registry")
    signature, primary, secondary, kind = _HEAD.unpack_from(content)
    if signature != b"regf" or kind != 0:
        raise NotReady(f"{path} is no hive of a registry")
    if primary != secondary or checksum(content) != int.from_bytes(content[_CHECKED:][:4], "little"):
        raise NotReady(f"{path} is dirty: what Windows changed last is still in its logs", hint=_AGAIN)


def checksum(base: bytes) -> int:
    """Of a base block: its words before that of the checksum, and two results that are not used."""
    found: int = reduce(xor, (word for (word,) in struct.iter_unpack("<I", base[:_CHECKED])))
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(found, found)
