"""Faults of the repository, at every point of the image, through a real socket."""

from __future__ import annotations

import hashlib
import socket
from typing import Final

import pytest
from msgspec.structs import replace

from tests.faults.bench import WELL, Cell, Matrix, run_cell, run_cells
from tests.faults.images import KINDS, image

IMAGES: Final = (
    ("crc32", "none"),
    ("crc32", "zstd"),
    ("running", "lzop"),
    ("xxh64", "gzip"),
    ("0001", "zstd"),
    ("unproven", "zstd"),
    ("raw", "none"),
    ("raw", "gzip"),
)
POINTS: Final = ("first byte", "header", "bitmap", "first MiB", "middle", "last group", "last byte")
PROVEN: Final = [pair for pair in IMAGES if KINDS[pair[0]].proves or pair[1] != "none"]

INSIDE: Final = POINTS[1:]
SOME: Final = ("bitmap", "middle", "last byte")

# What happens when the connection has come to the point P, the number that the job must end with, and at which points.
BREAKS: Final = (
    ("cut@P", WELL, INSIDE),
    ("cut@P", 23, POINTS[:1]),
    ("cut@P range=ignored", WELL, SOME),
    ("cut@P range=shifted", 23, SOME),
    ("cut@P other=file", 33, SOME),
    ("cut@P other=etag", 33, SOME),
    ("cut@P other=date", 33, SOME),
    ("cut@P other=length", 33, SOME),
    ("cut@P unmeasured", WELL, SOME),
    ("unmeasured", WELL, SOME[:1]),
    ("short@P", 33, POINTS),
    ("short@P unmeasured", 33, SOME),
    ("flip@P", 33, POINTS),
)
RETRY_S: Final = 60
STATUSES: Final = {400: 23, 401: 23, 403: 23, 404: 2, 408: 23, 410: 2, 429: 23, 500: 23, 502: 23, 503: 23, 504: 23}
REFUSALS: Final = (
    ("down", 23),
    *((f"status={status}", number) for status, number in STATUSES.items()),
    ("redirect=loop", 23),
    ("redirect=outside", 23),
    ("redirect=scheme", 23),
)


def place(point: str, kind: str, container: str) -> int:
    """In bytes of the file. Where there is a container, points inside are as good as a share of it can be."""
    size = len(image(kind, container))
    known = KINDS[kind].blocks if container == "none" else size // 400
    return {
        "first byte": 0,
        "header": min(60, max(known // 2, 1)),
        "bitmap": max(known - 20, 61),
        "first MiB": known + size // 20,
        "middle": size // 2,
        "last group": size - 5000,
        "last byte": size - 1,
    }[point]


def good(kind: str, container: str) -> Cell:
    return Cell(data=image(kind, container), restored=KINDS[kind].restored)


def faults(text: str, at: int = 0) -> tuple[str, ...]:
    return tuple(f"repository:{word.replace('@P', f'@{at}')}" for word in text.split())


@pytest.mark.parametrize(("text", "number", "points"), BREAKS, ids=[f"{text} {number}" for text, number, _ in BREAKS])
@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_on_the_way(
    matrix: Matrix, text: str, number: int, points: tuple[str, ...], pair: tuple[str, str]
) -> None:
    if text.startswith("flip") and pair not in PROVEN:
        return
    cell = replace(good(*pair), ends=(number,), retry_s=RETRY_S if number != 23 else 0)
    cells = {f"{text} {pair} {point}": replace(cell, faults=faults(text, place(point, *pair))) for point in points}
    endings = await run_cells(matrix, "source", cells)
    assert number != WELL or "cut" not in text or all(ending.retries for ending in endings)


@pytest.mark.parametrize("pair", IMAGES[:2], ids="-".join)
async def test_a_stall(matrix: Matrix, pair: tuple[str, str]) -> None:
    cell = replace(good(*pair), stall_s=0.5, retry_s=RETRY_S)
    cells = {
        f"stall {pair} {point}": replace(cell, faults=faults("stall@P", place(point, *pair))) for point in POINTS[1:]
    }
    assert all(ending.retries for ending in await run_cells(matrix, "source", cells))


async def test_from_the_beginning(matrix: Matrix) -> None:
    cell = good("crc32", "zstd")
    cells = {text: replace(cell, faults=faults(text), ends=(number,)) for text, number in REFUSALS}
    assert not any(ending.touched for ending in await run_cells(matrix, "source", cells))


@pytest.mark.parametrize("point", ["header", "middle"])
async def test_when_it_goes_on(matrix: Matrix, point: str) -> None:
    pair = ("crc32", "none")
    cell, at = good(*pair), place(point, *pair)
    cells = {
        f"{status} after a cut at {point}": replace(
            cell,
            faults=faults(f"cut@P again={status}", at),
            ends=(number,),
            retry_s=0 if status in (408, 429, 500, 502, 503, 504) else RETRY_S,
        )
        for status, number in STATUSES.items()
    }
    await run_cells(matrix, "source", cells)


@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_what_is_called_compressed_for_the_way(matrix: Matrix, pair: tuple[str, str]) -> None:
    """The bytes are those of the file, whatever they are called."""
    at = place("middle", *pair)
    cells = {
        f"{coding} {pair}": replace(
            good(*pair), faults=faults(f"coding={coding} cut@P", at), ends=(number,), retry_s=RETRY_S
        )
        for coding, number in (("gzip", WELL), ("x-gzip", WELL), ("br", 23))
    }
    await run_cells(matrix, "source", cells)


async def test_nobody_listens(matrix: Matrix) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    cell = replace(good("crc32", "zstd"), ends=(23,), url=f"http://127.0.0.1:{port}/x.img")
    assert not (await run_cell(matrix, "source", "refused", cell)).touched


# --- what lies beside the image -----------------------------------------------------------------------------------

SIDECARS: Final[tuple[tuple[dict[str, bytes], tuple[str, ...], int], ...]] = (
    ({".lock": b""}, (), 4),
    ({".lock": b"somebody"}, (), 4),
    ({".full.sum": b"SUM"}, (), WELL),
    ({".full.sum": b"SUM  x.img\n"}, (), WELL),
    ({".full.sum": b"0" * 32}, (), 33),
    ({".full.sum": b"MD5 (x.img) = SUM\n"}, (), WELL),
    ({".full.sum": b"\xef\xbb\xbfSUM *x.img\r\n"}, (), WELL),
    ({".full.sum": b"0" * 32 + b"  y.img\nSUM  /images/x.img\n"}, (), WELL),
    ({".full.sum": b"MD5(x.img)= " + b"0" * 32}, (), 33),
    ({".full.sum": b"\xef\xbb\xbf" + b"0" * 32}, (), 33),
    ({".full.sum": b"SUM  y.img\n" + b"0" * 32 + b"  x.img\n"}, (), 33),
    ({".full.sum": b"nonsense"}, (), WELL),
    ({".full.sum": b""}, (), WELL),
    ({".lock": b""}, ("repository:sidecars=503",), 23),
    ({".full.sum": b"SUM"}, ("repository:sidecars=500",), 23),
    ({}, ("repository:pages",), 23),
    ({".lock": b""}, ("repository:pages",), 23),
    ({}, ("repository:sidecars=404",), WELL),
    ({}, ("repository:sidecars=403",), WELL),
)


@pytest.mark.parametrize("pair", IMAGES[:2], ids="-".join)
async def test_beside_the_image(matrix: Matrix, pair: tuple[str, str]) -> None:
    cell = good(*pair)
    right = hashlib.md5(cell.data).hexdigest().encode()
    cells = {}
    for sidecars, texts, number in SIDECARS:
        files = {suffix: content.replace(b"SUM", right) for suffix, content in sidecars.items()}
        cells[f"{sidecars} {texts}"] = replace(cell, sidecars=files, faults=texts, ends=(number,))
    for name, ending in zip(cells, await run_cells(matrix, "sidecar", cells), strict=True):
        not_understood = "nonsense" in name or "b''" in name.partition(".full.sum")[2]
        assert len(ending.warnings) == not_understood, name
        assert all(warning.startswith("033-x.img.full.sum ") for warning in ending.warnings)


async def test_who_finds_every_name_is_told_so(matrix: Matrix) -> None:
    ending = await run_cell(
        matrix, "sidecar", "pages", replace(good("crc32", "zstd"), faults=("repository:pages",), ends=(23,))
    )
    assert "any name" in ending.message
    assert not ending.touched


@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_the_sum_finds_what_the_image_cannot_know(matrix: Matrix, pair: tuple[str, str]) -> None:
    cell = good(*pair)
    sidecars = {".full.sum": hashlib.md5(cell.data).hexdigest().encode()}
    cell = replace(cell, sidecars=sidecars, ends=(33,))
    cells = {f"flip {pair} {point}": replace(cell, faults=faults("flip@P", place(point, *pair))) for point in POINTS}
    await run_cells(matrix, "sidecar", cells)
