"""What a partition says of itself: believed when every byte of it is right, and for nobody a file system."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.disk.content import Content, probe
from ogagent.disk.record import (
    LEAST_PARTITION,
    LENGTH,
    PLACE,
    JobRecord,
    decode,
    disk_mark,
    encode,
    read,
    record_of,
)
from ogagent.disk.volume import Volume
from ogagent.restore.request import RestoreRequest

MIB: Final = 1 << 20
SIZE: Final = 16 * MIB
RECORD: Final = JobRecord(
    job_id="RestaurarImagen-dfa42888", function="RestaurarImagen",
    request={"dsk": "1", "par": "2", "idi": "01936caf", "ifs": "1", "ids": "7", "nci": "aula/windows 10"},
    image="aula/windows 10", started="2026-11-24T10:00:00.000Z", disk=disk_mark("wwn-1"), size=SIZE,
)  # fmt: skip
PAGE: Final = encode(RECORD)


def page_of(members: Any, version: int = 1) -> bytes:
    """As the format says, whatever the members are."""
    data = members if isinstance(members, bytes) else msgspec.json.encode(members)
    checksum = zlib.crc32(struct.pack("<HH", version, len(data)) + data)
    return (b"ogagent restore\n" + struct.pack("<HHI", version, len(data), checksum) + data).ljust(LENGTH, b"\0")


def test_the_format_is_what_is_written_down() -> None:
    assert page_of(RECORD) == PAGE
    assert (PLACE, LENGTH) == (768 << 10, 4096)
    assert decode(PAGE) == RECORD
    assert decode(encode(replace(RECORD, reported=True))) == replace(RECORD, reported=True)


TEXT: Final = st.text(max_size=200).filter(str.isprintable)


@given(TEXT, TEXT, TEXT, st.from_regex(r"[A-Za-z0-9_-]{1,99}/[A-Za-z0-9_-]{1,99}", fullmatch=True))
def test_every_request_has_room(idi: str, ifs: str, ids: str, nci: str) -> None:
    request = RestoreRequest(dsk=999, par=999, idi=idi, nci=nci, ipr="r", ifs=ifs, ids=ids, method_options="x" * 190)
    page = record_of(
        "serial:1", 1 << 60, request.echo(), job_id="RestaurarImagen-dfa42888", started="2026-11-24T10:00:00.000Z"
    )
    record = decode(page)
    assert record is not None
    assert record.request == {
        "nfn": "RestaurarImagen", "dsk": "999", "par": "999", "idi": idi, "nci": nci, "ifs": ifs, "ids": ids,
    }  # fmt: skip
    assert (record.image, record.size, record.disk) == (nci, 1 << 60, disk_mark("serial:1"))


def test_the_longest_ones_have_room() -> None:
    longest = dict.fromkeys(("idi", "ifs", "ids"), "😀" * 200) | {"nci": "x" * 200}
    assert len(encode(replace(RECORD, request=longest, image="x" * 200))) == LENGTH


def test_a_restore_by_hand_is_nobodys_job() -> None:
    record = decode(record_of("serial:1", SIZE, {"nci": ""}, job_id="", started="", image="some file.img"))
    assert record is not None
    assert (record.job_id, record.image) == ("", "some file.img")


def test_a_partition_without_room_for_it() -> None:
    assert record_of("serial:1", LEAST_PARTITION - 512, {}, job_id="", started="") == b""


# --- what is none -------------------------------------------------------------------------------------------------


def test_one_wrong_bit() -> None:
    used = len(PAGE.rstrip(b"\0"))
    for place in range(used):
        for bit in (1, 128):
            spoiled = bytearray(PAGE)
            spoiled[place] ^= bit
            assert decode(bytes(spoiled)) is None


def test_one_that_is_torn() -> None:
    for sector in range(512, LENGTH, 512):
        if sector < len(PAGE.rstrip(b"\0")):
            assert decode(PAGE[:sector] + bytes(LENGTH - sector)) is None
    assert decode(PAGE[:-1]) is None
    assert decode(b"") is None


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": "RestaurarImagen-dfa4288"}, {"job_id": "x" * 41 + "-dfa42888"}, {"job_id": "../../etc-dfa42888"},
        {"job_id": "RestaurarImagen-dfa42888\n"}, {"function": "f" * 201}, {"function": "\x1b[2J"},
        {"request": {"ids": "7\n2026 forged line"}}, {"request": {"ids\x00": "7"}}, {"request": {"ids": 7}},
        {"request": {str(number): "" for number in range(13)}}, {"image": "\u202egmi.x"}, {"started": "yesterday"},
        {"started": "2026-11-24T10:00:00.000Z\n"}, {"size": "large"}, {"disk": None},
    ],
)  # fmt: skip
def test_what_no_agent_would_have_written(change: dict[str, Any]) -> None:
    """With a checksum that is right: whoever was root on the machine can have made it."""
    members = msgspec.to_builtins(RECORD) | change
    assert decode(page_of(members)) is None


@pytest.mark.parametrize("data", [b"[" * 4000, b"\xff\xfe", b"", b"null", b"{}", b'{"job_id": "\\ud800"}'])
def test_what_is_no_json(data: bytes) -> None:
    assert decode(page_of(data)) is None


def test_another_version_is_not_guessed_at() -> None:
    assert decode(page_of(RECORD, version=2)) is None


def test_a_length_beyond_the_page() -> None:
    data = msgspec.json.encode(RECORD)
    page = b"ogagent restore\n" + struct.pack("<HHI", 1, 65535, zlib.crc32(struct.pack("<HH", 1, 65535) + data)) + data
    assert decode(page.ljust(LENGTH, b"\0")) is None


@given(st.binary(min_size=LENGTH, max_size=LENGTH))
def test_noise(noise: bytes) -> None:
    assert decode(noise) is None


# --- on a partition -----------------------------------------------------------------------------------------------


def partition(path: Path, page: bytes, *, size: int = SIZE, before: int = 0) -> Path:
    with path.open("wb") as file:
        file.truncate(before + size)
        file.seek(before + PLACE)
        file.write(page)
    return path


def content_of(path: Path, offset: int = 0, size: int = SIZE) -> Content:
    with path.open("rb") as file:
        return probe(file.fileno(), offset, size)


def test_it_says_that_it_is_incomplete(tmp_path: Path) -> None:
    assert content_of(partition(tmp_path / "p", PAGE)) == Content(incomplete=True)
    assert content_of(partition(tmp_path / "p", PAGE, before=3 * MIB), 3 * MIB) == Content(incomplete=True)
    assert content_of(partition(tmp_path / "p", encode(replace(RECORD, reported=True)))).incomplete
    assert content_of(partition(tmp_path / "p", bytes(LENGTH))) == Content()


def test_it_is_read_where_the_partition_is(tmp_path: Path) -> None:
    with partition(tmp_path / "p", PAGE, before=MIB).open("rb") as file:
        assert read(Volume(file.fileno(), MIB, SIZE)) == RECORD
        assert read(Volume(file.fileno(), 0, SIZE)) is None


@pytest.mark.parametrize("size", [SIZE - 512, SIZE + 512, LEAST_PARTITION - 512, 512])
def test_a_partition_of_another_size_was_made_anew(tmp_path: Path, size: int) -> None:
    path = partition(tmp_path / "p", PAGE, size=SIZE + MIB)
    assert not content_of(path, size=size).incomplete


def test_a_device_that_ends_before_the_partition_does(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(bytes(PLACE))
    with path.open("rb") as file:
        assert read(Volume(file.fileno(), 0, SIZE)) is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "vfat", "ntfs", "swap"])
def test_a_file_system_that_was_made_since_is_one(tmp_path: Path, kind: str) -> None:
    """Whether it has overwritten the record or not."""
    tool = "mkswap" if kind == "swap" else f"mkfs.{kind}"
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    size = 320 * MIB  # what XFS wants at least
    page = encode(replace(RECORD, size=size))
    path = partition(tmp_path / "p", page, size=size)
    subprocess.run([tool, *(["-F"] if kind == "ntfs" else []), str(path)], check=True, capture_output=True)
    with path.open("r+b") as file:
        for _ in range(2):
            content = content_of(path, size=size)
            assert (content.filesystem, content.incomplete) == (kind, False)
            file.seek(PLACE)
            file.write(page)
            file.flush()


def test_libblkid_takes_it_for_nothing(tmp_path: Path) -> None:
    """Not even where everything that is not the magic is noise."""
    dice = random.Random(4)
    for _ in range(50):
        path = partition(tmp_path / "p", PAGE[:16] + dice.randbytes(LENGTH - 16))
        with path.open("rb") as file:
            assert blkid.superblock(file.fileno(), 0, SIZE) == {}
