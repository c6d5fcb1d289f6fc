"""Images of every kind, changed at random: refused, or exactly what they were; memory and text stay bounded."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lzallright import LZOCompressor

from tests.fuzz.judge import CORPUS, Written, judge, sealed
from tests.image.containers import gzip_member

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FILES: Final = sorted(path.name for path in CORPUS.iterdir())
SEEDS: Final = {name: (CORPUS / name).read_bytes() for name in FILES}
PROVEN: Final = [name for name in FILES if name.startswith("0002") and name != "0002-unchecked"]
"""Those whose every written byte has a checksum that would not match by chance."""
UNPACKERS: Final = {".zst": ("zstd", "-dc"), ".gz": ("gzip", "-dc"), ".lzo": ("lzop", "-dc"), "": ("cat",)}
NOT_FOR_PARTCLONE: Final = ("0001-long.zst", "0002-xxh64.gz", "0002-xxh128.lzo", "raw.zst")
"""What partclone 0.3.23 cannot read: what its forebears wrote, what its successors write, what is none of its own."""

calm = settings(derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def expected(name: str) -> Written:
    written = judge(SEEDS[name])
    assert written
    return written


def over_zeros(written: Written, size: int) -> bytes:
    out = bytearray(size)
    for offset, part in written:
        out[offset : offset + len(part)] = part
    return bytes(out)


@pytest.mark.parametrize("name", FILES)
def test_the_corpus_is_what_the_tools_say(name: str, tmp_path: Path) -> None:
    program = shutil.which("partclone.restore", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    unpacker = UNPACKERS[Path(name).suffix]
    if program is None or shutil.which(unpacker[0]) is None:
        pytest.skip(f"partclone or {unpacker[0]} is not installed")
    done = subprocess.run([*unpacker, CORPUS / name], capture_output=True, check=False, timeout=300)
    plain, out = tmp_path / "plain", tmp_path / "out"
    plain.write_bytes(done.stdout)
    assert judge(done.stdout) == expected(name)
    if name in NOT_FOR_PARTCLONE:
        return
    command = [program, "-s", plain, "-O", out, "-C", "--restore_raw_file", "-L", tmp_path / "log", "-f", "1"]
    subprocess.run(
        [str(each) for each in command], capture_output=True, check=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert out.read_bytes() == over_zeros(expected(name), out.stat().st_size)


# --- changed images ----------------------------------------------------------------------------------------------

Change = Callable[[bytes], bytes]


def changes() -> st.SearchStrategy[Change]:
    place = st.integers(0, 1 << 20)
    flip = st.builds(
        lambda at, bit: lambda d: _put(d, at, bytes((d[at % len(d)] ^ (1 << bit),))), place, st.integers(0, 7)
    )
    put = st.builds(
        lambda at, new: lambda d: _put(d, at, new),
        place,
        st.binary(min_size=1, max_size=8) | st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\0" * 4, b"\xff" * 4]),
    )
    cut = st.builds(lambda at: lambda d: d[: at % len(d)], place)
    drop = st.builds(lambda at, n: lambda d: d[: at % len(d)] + d[at % len(d) + n :], place, st.integers(1, 600))
    more = st.builds(lambda at, new: lambda d: d[: at % len(d)] + new + d[at % len(d) :], place, st.binary(max_size=20))
    again = st.just(lambda d: d + d)
    return st.one_of(flip, put, cut, drop, more, again)


def _put(data: bytes, at: int, new: bytes) -> bytes:
    at %= len(data)
    return data[:at] + new + data[at + len(new) :]


def changed(data: bytes, all_changes: list[Change]) -> bytes:
    for change in all_changes:
        data = change(data) or b"\0"
    return data


@settings(calm, max_examples=1000)
@given(st.sampled_from(FILES), st.lists(changes(), min_size=1, max_size=4), st.sampled_from([1, 7, 509, 1 << 16]))
def test_a_changed_image_is_refused_or_what_it_was(name: str, all_changes: list[Change], chunk: int) -> None:
    written = judge(changed(SEEDS[name], all_changes), chunk)
    if name in PROVEN:
        assert written is None or written == expected(name)


@settings(calm, max_examples=600)
@given(st.sampled_from(["0002-crc32", "0002-unchecked"]), st.lists(changes(), min_size=1, max_size=4))
def test_a_header_or_bitmap_that_lies_with_the_right_checksum(name: str, all_changes: list[Change]) -> None:
    judge(sealed(changed(SEEDS[name], all_changes)))


@settings(calm, max_examples=400)
@given(
    st.sampled_from(
        [
            *(b"\x28\xb5\x2f\xfd", b"\x5a\x2a\x4d\x18", b"\x89LZO\x00\r\n\x1a\n", b"partclone-image", b""),
            *(b"\x1f\x8b\x08" + bytes((flags,)) for flags in (0, 2, 4, 8, 16, 30)),
        ]
    ),
    st.binary(max_size=300),
)
def test_any_bytes_behind_a_magic(magic: bytes, rest: bytes) -> None:
    judge(magic + rest)


# --- containers of any make --------------------------------------------------------------------------------------


def lzop(parts: list[bytes]) -> bytes:
    fields = bytes.fromhex("104020a00940010503000001000081a46b05724600000000" + "00")
    out = b"\x89LZO\x00\r\n\x1a\n" + fields + zlib.adler32(fields).to_bytes(4, "big")
    for part in parts:
        packed = min(part, bytes(LZOCompressor().compress(part)), key=len)  # of the same length: stored
        sizes = len(part).to_bytes(4, "big") + len(packed).to_bytes(4, "big")
        out += sizes + zlib.adler32(part).to_bytes(4, "big") + packed
    return out + bytes(4)


PACKERS: Final[dict[str, Callable[[list[bytes]], bytes]]] = {
    "zstd": lambda parts: b"".join(zstd.compress(part, level=1) for part in parts),
    "gzip": lambda parts: b"".join(gzip.compress(part, 1) for part in parts),
    "gzip fields": lambda parts: b"".join(gzip_member(part, len(part) % 32) for part in parts),
    "gzip padded": lambda parts: b"".join(map(gzip_member, parts)) + bytes(len(parts) * 100),
    "lzop": lzop,
    "lzop files": lambda parts: b"".join(lzop([part]) for part in parts),
}


@settings(calm, max_examples=200)
@given(st.sampled_from(sorted(PACKERS)), st.lists(st.integers(1, 2171), max_size=6), st.sampled_from([1, 13, 1 << 16]))
@example("gzip", [], 1)
def test_a_container_of_any_parts(kind: str, cuts: list[int], chunk: int) -> None:
    places = sorted({0, *cuts, len(SEEDS["0002-crc32"])})
    parts = [SEEDS["0002-crc32"][one:other] for one, other in pairwise(places)]
    assert judge(PACKERS[kind](parts), chunk) == expected("0002-crc32")


# --- led by the code that is reached -----------------------------------------------------------------------------


RUNS: Final = 20_000


def test_coverage_guided(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine")
    command = [sys.executable, "-m", "tests.fuzz.coverage_guided", f"-runs={RUNS}", "-seed=1", "-max_len=8192"]
    found = tmp_path / "found"
    found.mkdir()
    done = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/", found, CORPUS],
        cwd=CORPUS.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(rf"^Done {RUNS} runs", done.stderr, re.MULTILINE)
