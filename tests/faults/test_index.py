"""Images with an index: fetched by region, onto partitions that hold nothing, all or some of it already."""

from __future__ import annotations

import random
from typing import Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from ogagent.image.index import encode
from ogagent.image.seekable import pack_frame, unpack_frame
from tests.faults.bench import WELL, Cell, Matrix, run_cell, run_cells
from tests.faults.framed import BEFORES, INDEX, KEY, REGION, SIGNATURE, Framed, framed, framed_cell
from tests.faults.images import KINDS, MIB, SIZE, flipped, image

SOME: Final = ("crc32", "raw")
MIDDLE: Final = 4 * MIB + 200_000
RETRY_S: Final = 60
OWN_CHECKSUM: Final = 4
"""zstd's, at the end of a frame. The hash in the index counts instead."""


# --- what is there already ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("region_size", [REGION, 2 * MIB])
@pytest.mark.parametrize("kind", KINDS)
async def test_onto_what_is_there(matrix: Matrix, kind: str, region_size: int) -> None:
    cells = {
        f"{kind} onto {before}, {local}": replace(framed_cell(kind, before, region_size), local=local)
        for before in BEFORES
        for local in (True, False)
        if local or region_size == REGION
    }
    for name, ending in zip(cells, await run_cells(matrix, "index", cells), strict=True):
        counts = ending.counts
        assert counts.written + counts.reused == counts.total, name
        assert counts.image is not None
        assert counts.received <= counts.image


async def test_what_is_right_is_not_fetched(matrix: Matrix) -> None:
    cells = {before: replace(framed_cell("crc32", before), local=False) for before in BEFORES}
    endings = dict(zip(cells, await run_cells(matrix, "index", cells), strict=True))
    counts = {before: ending.counts for before, ending in endings.items()}
    image_ = framed("crc32")
    assert counts["the same"].received == image_.index.prefix.length
    assert (counts["the same"].written, counts["the same"].reused) == (0, counts["the same"].total)
    assert counts["foreign"].reused == 0
    assert counts["half of it"].reused > SIZE // 3
    assert 0 < counts["used once"].written <= 7 * REGION
    assert counts["used once"].received < len(image_.data) // 8


async def test_regions_of_another_image(matrix: Matrix) -> None:
    """They share what stands in the same place; what only one of them uses is left, as with any restore."""
    first, second = framed_cell("crc32", "foreign"), framed_cell("raw", "foreign")
    ending = await run_cell(matrix, "index", "raw over crc32", replace(second, before=first.restored))
    assert ending.counts.reused > SIZE // 2


# --- the repository -----------------------------------------------------------------------------------------------


def faults(text: str, at: int = 0) -> tuple[str, ...]:
    return tuple(f"repository:{word.replace('@P', f'@{at}')}" for word in text.split())


BREAKS: Final = (
    ("cut@P", WELL),
    ("cut@P other=file", WELL),
    ("cut@P other=etag", 33),
    ("cut@P other=length", 33),
    ("cut@P unmeasured", WELL),
    ("range=ignored", WELL),
    ("range=ignored cut@P", WELL),
    ("unmeasured", WELL),
    ("flip@P", 33),
    ("again=503", 23),
    ("again=404", 2),
    ("again=403", 23),
)


@pytest.mark.parametrize(("text", "number"), BREAKS, ids=[text for text, _ in BREAKS])
@pytest.mark.parametrize("before", ["foreign", "half of it"])
async def test_a_broken_repository(matrix: Matrix, text: str, number: int, before: str) -> None:
    cells = {}
    for kind in SOME:
        frame = framed(kind).frame(MIDDLE)
        for at in (frame.start, frame.start + 9, frame.stop - 1 - OWN_CHECKSUM):
            cell = replace(framed_cell(kind, before), local=False, faults=faults(text, at), ends=(number,))
            cells[f"{text} {kind} onto {before} at {at}"] = replace(cell, retry_s=0 if number == 23 else RETRY_S)
    endings = await run_cells(matrix, "index", cells)
    assert number != WELL or "cut@P" not in text or all(ending.retries for ending in endings)


async def test_a_range_that_is_shifted(matrix: Matrix) -> None:
    cell = replace(framed_cell("crc32", "foreign"), local=False, faults=("repository:range=shifted",), ends=(23,))
    await run_cell(matrix, "index", "range=shifted", cell)


@pytest.mark.parametrize("before", ["foreign", "half of it"])
async def test_a_stall(matrix: Matrix, before: str) -> None:
    frame = framed("crc32").frame(MIDDLE)
    cells = {
        f"stall onto {before} at {at}": replace(
            framed_cell("crc32", before), local=False, faults=faults("stall@P", at), stall_s=0.5, retry_s=RETRY_S
        )
        for at in (frame.start, frame.stop - 1)
    }
    assert all(ending.retries for ending in await run_cells(matrix, "index", cells))


async def test_no_answer_for_the_index(matrix: Matrix) -> None:
    """It is not taken for absent; what answers that it is not there, or may not be had, is."""
    cell = replace(framed_cell("crc32", "half of it"), local=False)
    await run_cell(matrix, "index", "503", replace(cell, faults=("repository:sidecars=503",), ends=(23,)))
    for status in (403, 404):
        ending = await run_cell(matrix, "index", str(status), replace(cell, faults=(f"repository:sidecars={status}",)))
        assert ending.counts.reused == 0


# --- an index that is not this image's ----------------------------------------------------------------------------


def damaged() -> dict[str, bytes]:
    """Indexes that do not belong to the image ``framed("crc32")``, or to none."""
    index = framed("crc32").index
    data = encode(index)
    cells = {f"bit {at}": flipped(data, at, at % 8) for at in range(0, len(data), len(data) // 20)}
    cells |= {f"cut {at}": data[:at] for at in (0, 1, len(data) // 2, len(data) - 1)}
    return cells | {
        "garbage": b"<html>not found</html>",
        "more": data + b"\0",
        "another image": encode(framed("raw").index),
        "another name": encode(framed("crc32", "y.img").index),
        "another header": encode(msgspec.structs.replace(index, device_size=index.device_size - 4096)),
        "another size": encode(msgspec.structs.replace(index, size=index.size + 1)),
    }


async def test_an_index_that_does_not_match(matrix: Matrix) -> None:
    """The image is restored as a stream."""
    cell = framed_cell("crc32", "the same")
    cells = {f"index: {name}": replace(cell, sidecars={INDEX: data}) for name, data in damaged().items()}
    for ending in await run_cells(matrix, "index", cells):
        assert ending.counts.reused == 0


async def test_an_image_that_changed_since(matrix: Matrix) -> None:
    """A new image in one frame, or in frames of its own, beside the old index."""
    cell = framed_cell("crc32", "foreign")
    new = {"one frame": image("crc32", "zstd"), "frames": framed("crc32", region_size=MIB).data}
    cells = {name: replace(cell, data=data) for name, data in new.items()}
    await run_cells(matrix, "index", cells)


async def test_something_after_an_image_in_frames(matrix: Matrix) -> None:
    """Its index tells where the image ends, before anything is written; what zstd passes over may follow."""
    cell = framed_cell("crc32", "foreign")
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    for local in (True, False):
        more = {"zero": b"\0", "line end": b"\n", "text": b"garbage\n", "zeros": bytes(100_000)}
        cells = {
            f"{name} after frames, {local}": replace(cell, data=cell.data + after, local=local, ends=(33,))
            for name, after in more.items()
        }
        for ending in await run_cells(matrix, "index", cells):
            assert not ending.touched
            assert f"at byte {len(cell.data)}, the image goes on" in ending.message
        await run_cell(matrix, "index", "skippable", replace(cell, data=cell.data + skippable, local=local))


async def test_frames_that_are_not_what_the_index_says(matrix: Matrix) -> None:
    """Known before the region is written; what the partition holds already is not even asked for. From the fifth byte
    on: the one before has a bit that means nothing (RFC 8878, 3.1.1.1.1).
    """
    frame = framed("crc32").frame(MIDDLE)
    cell = framed_cell("crc32", "half of it")
    cells = {
        f"frame flipped at {at}": replace(cell, data=flipped(cell.data, at, at % 8), ends=(33,))
        for at in (*frame[5 : -OWN_CHECKSUM : len(frame) // 9], frame.stop - 1 - OWN_CHECKSUM)
    }
    await run_cells(matrix, "index", cells)
    held = framed("crc32").frame(2 * MIB)
    await run_cell(matrix, "index", "flip in what is held", replace(cell, data=flipped(cell.data, held.start + 9)))
    forgiven = replace(cell, data=flipped(cell.data, frame.stop - 1))
    await run_cell(matrix, "index", "flip in a frame's own checksum", forgiven)


async def test_a_frame_that_is_whole_but_another_one(matrix: Matrix) -> None:
    """As somebody makes it who knows the format: its length is right, and its own checksum."""
    true = framed("crc32")
    frame = true.frame(MIDDLE)
    size = len(unpack_frame(true.data[frame.start : frame.stop], 2 * REGION))
    forged = pack_frame(random.Random(1).randbytes(size), 1)
    assert len(forged) == len(frame)
    cell = framed_cell("crc32", "foreign")
    cell = replace(cell, data=cell.data[: frame.start] + forged + cell.data[frame.stop :], ends=(33,))
    await run_cell(matrix, "index", "forged frame", cell)


# --- signatures ---------------------------------------------------------------------------------------------------


def trusted(cell: Cell) -> Cell:
    return replace(cell, keys=(Ed25519PrivateKey.generate().public_key(), KEY.public_key()))


def forgeries(true: Framed) -> dict[str, Cell]:
    """What must be refused before the first write when images have to be signed."""
    cell = replace(framed_cell("crc32", "foreign"), sidecars=true.signed)
    index, signature = true.signed[INDEX], true.signed[SIGNATURE]
    other = framed("crc32", "y.img")
    malicious = framed("raw")
    return {
        "unsigned": replace(cell, sidecars=true.sidecars),
        "no index": replace(cell, sidecars={SIGNATURE: signature}),
        "nothing": replace(cell, sidecars={}),
        "signed by another": replace(
            cell, sidecars={INDEX: index, SIGNATURE: Ed25519PrivateKey.generate().sign(index)}
        ),
        "signature flipped": replace(cell, sidecars={INDEX: index, SIGNATURE: flipped(signature, 40)}),
        "signature cut": replace(cell, sidecars={INDEX: index, SIGNATURE: signature[:-1]}),
        "signature longer": replace(cell, sidecars={INDEX: index, SIGNATURE: signature + b"\0"}),
        "index flipped": replace(cell, sidecars={INDEX: flipped(index, 99), SIGNATURE: signature}),
        "index replaced": replace(
            cell, data=malicious.data, sidecars={INDEX: encode(malicious.index), SIGNATURE: signature}
        ),
        "image replaced": replace(cell, data=malicious.data),
        "image cut": replace(cell, data=true.data[:-1]),
        "image streamed": replace(cell, data=image("crc32", "zstd")),
        "header changed": replace(cell, data=flipped(true.data, true.index.prefix.length - 1)),
        "older one under this name": replace(cell, data=other.data, sidecars=other.signed),
    }


async def test_what_is_not_signed_is_refused(matrix: Matrix) -> None:
    cells = {
        f"{name}, {local}": replace(trusted(cell), ends=(90,), local=local)
        for name, cell in forgeries(framed("crc32")).items()
        for local in (True, False)
    }
    assert not any(ending.touched for ending in await run_cells(matrix, "signature", cells))


async def test_a_signed_image(matrix: Matrix) -> None:
    cells = {
        f"{kind} onto {before}": replace(trusted(framed_cell(kind, before)), sidecars=framed(kind).signed)
        for kind in KINDS
        for before in ("foreign", "half of it")
    }
    await run_cells(matrix, "signature", cells)


async def test_a_region_that_was_tampered_with(matrix: Matrix) -> None:
    """The signature covers it through the index; it is never written."""
    cell = replace(trusted(framed_cell("crc32", "foreign")), sidecars=framed("crc32").signed, ends=(33,))
    frame = framed("crc32").frame(MIDDLE)
    ending = await run_cell(matrix, "signature", "tampered", replace(cell, data=flipped(cell.data, frame.start + 50)))
    assert ending.touched


async def test_without_keys_a_forgery_gets_through(matrix: Matrix) -> None:
    """Which is what signatures are for: another image, with an index that is its own, is as good as any."""
    cell = framed_cell("raw", "foreign")
    assert (await run_cell(matrix, "signature", "without keys", cell)).number == WELL
    refused = replace(trusted(cell), ends=(90,))
    assert not (await run_cell(matrix, "signature", "with keys", refused)).touched


# --- disks --------------------------------------------------------------------------------------------------------

DISKS: Final = (
    ("eio@P=1", MIDDLE, 14),
    ("full@P=1", MIDDLE, 14),
    ("gone@P=1", MIDDLE, 14),
    ("readonly", 0, 14),
    ("flip@P", MIDDLE, 91),
    ("lost@P", MIDDLE, 91),
    ("torn@P", MIDDLE, 91),
    ("misread@P", MIDDLE, 91),
    ("misread@P", 2 * MIB + 5000, 91),
    ("misread@P=1", 2 * MIB + 5000, WELL),
    ("unreadable@P", 2 * MIB + 5000, 14),
    *((f"flush={number}", 0, 14) for number in range(1, 6)),
)


@pytest.mark.parametrize(("text", "at", "number"), DISKS, ids=[f"{text}-{at}" for text, at, _ in DISKS])
async def test_a_disk_with_a_fault(matrix: Matrix, text: str, at: int, number: int) -> None:
    """What lies where the image is right already is found by the survey, and written once more."""
    cells = {
        f"{text} {kind} at {at}": replace(
            framed_cell(kind, "half of it"),
            faults=(f"disk:{text.replace('@P', f'@{at}')}",),
            ends=(number,),
            honest=False,
        )
        for kind in SOME
    }
    await run_cells(matrix, "disk", cells)
