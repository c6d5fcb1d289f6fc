"""Hives are edited in a copy, and put back when the copy says what it shall."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from ogagent.errors import NotReady
from ogagent.finish.hive import check_clean, checksum, copied
from ogagent.finish.reg_text import BINARY, SZ, Change, Value, text_value
from tests.finish.folder import Folder
from tests.finish.windows_twin import key, needs_hivex
from tests.software.hives import make_hive

pytestmark = needs_hivex
PATH = "a/HIVE"
REGISTRY = (
    key(r"\A", {"": "default", "Text": "old", 'q"\\': b"\1", "é": b"\xff"})
    + key(r"\A\B", {"Number": 7})
    + key(r"\Other", {"Text": "stays"})
)


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    make_hive(tmp_path / "root" / PATH, REGISTRY)
    return Folder(tmp_path / "root")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_what_is_in_it(files: Folder, work: Path) -> None:
    async with copied(files, PATH, work) as hive:
        assert await hive.values(r"\a\b") == {"number": Value(4, b"\7\0\0\0")}
        assert await hive.values(r"\nothing") is None
        assert await hive.names("\\") == [r"\A", r"\Other"]
        assert list(await hive.below(r"\A")) == [r"\A", r"\A\B"]
        assert await hive.below(r"\nothing") == {}
    assert is_empty(work)
    assert files.replaced == []


async def test_a_change_and_nothing_else(files: Folder, work: Path) -> None:
    text = 'x"=dword:1\r\n[\\Other]\n"Text"=- ñ€'
    changes = [
        Change(r"\A", "text", text_value(text)),
        Change(r"\A", 'q"\\', None),
        Change(r"\A", "", text_value("new")),
        Change(r"\A\C", "x", Value(BINARY, b"")),
    ]
    async with copied(files, PATH, work) as hive:
        await hive.merge(changes)
        await hive.put_back()
    async with copied(files, PATH, work) as hive:
        found = await hive.below("\\")
    assert found == {
        "\\": {},
        r"\A": {"": text_value("new"), "text": text_value(text), "é": Value(BINARY, b"\xff")},
        r"\A\B": {"number": Value(4, b"\7\0\0\0")},
        r"\A\C": {"x": Value(BINARY, b"")},
        r"\Other": {"text": text_value("stays")},
    }
    check_clean(files.read(PATH) or b"", PATH)


async def test_what_is_not_put_back_has_not_happened(files: Folder, work: Path) -> None:
    before = files.read(PATH)
    async with copied(files, PATH, work) as hive:
        await hive.merge([Change(r"\A", "Text", text_value("new"))])
    assert files.read(PATH) == before


async def test_a_key_in_none(files: Folder, work: Path) -> None:
    async with copied(files, PATH, work) as hive:
        with pytest.raises(NotReady, match=r"a/HIVE: hivexregedit .*parent"):
            await hive.merge([Change(r"\No\B", "Text", text_value("new"))])


async def test_a_name_that_cannot_be_written(files: Folder, work: Path) -> None:
    async with copied(files, PATH, work) as hive:
        with pytest.raises(NotReady, match="no name to write"):
            await hive.merge([Change(r"\A", "a\nb", None)])


async def test_an_edit_that_did_something_else_is_not_believed(
    files: Folder, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that merges, and then changes another value of the same key."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    tool = bin_ / "hivexregedit"
    more, real = bin_ / "more", shutil.which("hivexregedit")
    more.write_text(key(r"\A", {"More": 1}), encoding="utf-8")
    tool.write_text(
        f'#!/bin/sh\n{real} "$@" || exit\n[ "$1" != --merge ] || {real} --merge "$2" "{more}"\n', encoding="utf-8"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    async with copied(files, PATH, work) as hive:
        with pytest.raises(NotReady, match=r"has not changed \\A as it should"):
            await hive.merge([Change(r"\A", "Text", text_value("new"))])


@pytest.mark.parametrize(("at", "change"), [(4, 1), (8, 1), (0x30, 0xFF)])
async def test_a_dirty_hive_is_not_even_read(files: Folder, work: Path, at: int, change: int) -> None:
    """Sequence numbers that differ, or a checksum that is wrong."""
    content = bytearray(files.read(PATH) or b"")
    content[at] ^= change
    if at < 0x30:
        struct.pack_into("<I", content, 508, checksum(bytes(content)))
    files.replace(PATH, bytes(content))
    with pytest.raises(NotReady, match="is dirty") as refused:
        async with copied(files, PATH, work):
            pass
    assert "shutdown /s" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b"regf", b"x" * 8192, b"regf" + bytes(24) + b"\6" + bytes(8192)])
async def test_what_is_no_hive(files: Folder, work: Path, content: bytes) -> None:
    files.replace(PATH, content)
    with pytest.raises(NotReady, match="is no hive"):
        async with copied(files, PATH, work):
            pass


async def test_a_damaged_one(files: Folder, work: Path) -> None:
    content = bytearray(files.read(PATH) or b"")
    content[4096:] = b"\xff" * len(content[4096:])
    files.replace(PATH, bytes(content))
    async with copied(files, PATH, work) as hive:
        with pytest.raises(NotReady, match="a/HIVE: hivexregedit failed"):
            await hive.values(r"\A")


async def test_none(files: Folder, work: Path) -> None:
    with pytest.raises(NotReady, match="there is no b/HIVE"):
        async with copied(files, "b/HIVE", work):
            pass


async def test_one_that_is_too_large(files: Folder, work: Path, tmp_path: Path) -> None:
    os.truncate(tmp_path / "root" / PATH, (256 << 20) + 1)
    with pytest.raises(NotReady, match="more than 268435456 bytes"):
        async with copied(files, PATH, work):
            pass


class Deaf(Folder):
    def read(self, *_: Any, **__: Any) -> bytes | None:
        raise OSError(5, "Input/output error")


class Full(Folder):
    def replace(self, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")


async def test_a_disk_that_cannot_be_read_or_written(files: Folder, work: Path, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="a/HIVE cannot be read: Input/output error"):
        async with copied(Deaf(tmp_path / "root"), PATH, work):
            pass
    async with copied(Full(tmp_path / "root"), PATH, work) as hive:
        with pytest.raises(NotReady, match="a/HIVE cannot be written: No space left"):
            await hive.put_back()


async def test_a_forged_name_is_not_understood(files: Folder, work: Path) -> None:
    """A line's end in a name would begin a line of its own in what is printed."""
    content = (files.read(PATH) or b"").replace(b"Text", b"Te\nt")
    files.replace(PATH, content)
    async with copied(files, PATH, work) as hive:
        with pytest.raises(NotReady, match="not understood"):
            await hive.values(r"\A")


def test_a_text() -> None:
    assert Value(SZ, "a\0b\0".encode("utf-16-le") + b"x").text == "a"
