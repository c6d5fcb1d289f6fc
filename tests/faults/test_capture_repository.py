"""Captures into a repository that is full, breaks, lies, refuses, is slow, or goes away and comes back."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from tests.faults.bench import WELL
from tests.faults.capturing import Capture, Studios
from tests.faults.gate import WRITING, Spell

FAMILY: Final = "capture: repository"
LOCKED: Final = 4
FULL: Final = 14
UNREACHABLE: Final = 23
NOT_KEPT: Final = 91
PART: Final = ".x.img.part"
"""Sent twice, and read back: as what becomes the lock, and as the image."""
LOCK: Final = Spell(method="PUT", name=PART, times=1)
UPLOAD: Final = Spell(method="PUT", name=PART, after=1)
READ_BACK: Final = Spell(method="GET", name=PART, after=1)
POINTS: Final = ("0", "1", "64KiB", "1MiB", "1500000")
RETRY_S: Final = 60.0
STALL_S: Final = {"cut": 30.0, "stall": 3.0, "upload-cut": 30.0, "upload-stall": 3.0}
"""A repository beside a busy machine takes a second for a request, and what is undone has this long, too."""
WELL_KEPT: Final = Capture()


def repository(*faults: str) -> tuple[str, ...]:
    return tuple(f"repository:{fault}" for fault in faults)


def once(spell: Spell) -> Spell:
    return replace(spell, times=1)


async def asked(studios: Studios, capture: Capture = WELL_KEPT) -> list[tuple[str, str]]:
    """The requests of a capture with which nothing goes wrong."""
    with studios.studio(FAMILY, "well", capture) as studio:
        await studios.ended(studio, await studio.run())
        return studio.gate.seen


# --- while the image is sent ------------------------------------------------------------------------------------------


async def test_full(studios: Studios) -> None:
    spells = {"the image": UPLOAD, "the lock": LOCK}
    spells |= {f"{suffix}": Spell(method="PUT", name=f"{PART}{suffix}") for suffix in (".info", ".sum", ".index")}
    cells = {
        f"full at {point} of {name}": Capture(faults=repository(f"full@{point}"), spell=spell, ends=(FULL,))
        for name, spell in spells.items()
        for point in (POINTS if spell is UPLOAD else POINTS[:1])
    }
    cells["no room when the old one is kept"] = Capture(
        faults=repository("write-status=507"), spell=Spell(method="COPY"), ends=(FULL,)
    )
    cells["no room when half of the old one is kept"] = Capture(
        faults=repository("write-status=507"), spell=Spell(method="COPY", after=3), ends=(FULL,)
    )
    await studios.run_cells(FAMILY, cells)


@pytest.mark.parametrize("what", ["upload-cut", "upload-stall"])
async def test_the_upload_breaks(studios: Studios, what: str) -> None:
    """It is begun again, but not for ever. (Where the kernel takes all that is left of a small one, a server that has
    stalled is one that brings it to its disk, and has an hour.)
    """
    cell = Capture(spell=UPLOAD, stall_s=STALL_S[what], large=what == "upload-stall")
    at = {f"{what} at {point}": replace(cell, faults=repository(f"{what}@{point}")) for point in POINTS}
    again = await studios.run_cells(
        FAMILY, {f"{name}, once": replace(each, spell=once(UPLOAD), retry_s=RETRY_S) for name, each in at.items()}
    )
    assert all(each.progress.retries == 1 for each in again)
    await studios.run_cells(
        FAMILY,
        {
            f"{name}, always, {retry_s} s": replace(each, ends=(UNREACHABLE,), retry_s=retry_s)
            for name, each in at.items()
            for retry_s in (0, 2.5)
        },
    )


async def test_the_upload_is_slow(studios: Studios) -> None:
    slow = {f"{rate} a second": Capture(faults=repository(f"upload-slow={rate}")) for rate in ("2MiB", "8MiB")}
    await studios.run_cells(FAMILY, slow)


async def test_other_bytes_are_kept(studios: Studios) -> None:
    """Found when the image is read back, and what lies beside it when that is."""
    cells = {
        f"spoiled at {point}": Capture(
            faults=repository(f"upload-spoiled@{point}"), spell=UPLOAD, ends=(NOT_KEPT,), says="not what was sent"
        )
        for point in POINTS
    }
    cells |= {
        f"{suffix} spoiled": Capture(
            faults=repository("upload-spoiled@3"), spell=Spell(method="PUT", name=f"{PART}{suffix}"), ends=(NOT_KEPT,)
        )
        for suffix in (".info", ".sum", ".full.sum", ".index")
    }
    cells["the lock spoiled"] = Capture(faults=repository("upload-spoiled@3"), spell=LOCK, ends=(NOT_KEPT,))
    cells["half of it is kept"] = Capture(faults=repository("keeps-half"), ends=(NOT_KEPT,))
    await studios.run_cells(FAMILY, cells)


# --- while it is read back --------------------------------------------------------------------------------------------


async def test_the_read_back_breaks(studios: Studios) -> None:
    """It is continued."""
    cells = {
        f"read back: {what} at {point}": Capture(
            faults=repository(f"{what}@{point}"),
            spell=READ_BACK,
            stall_s=STALL_S[what],
            retry_s=0 if point == "0" else RETRY_S,
            ends=(UNREACHABLE if point == "0" else WELL,),
        )
        for what in ("cut", "stall")
        for point in POINTS
    }
    cells["read back slowly"] = Capture(faults=repository("slow=4MiB"), spell=READ_BACK)
    await studios.run_cells(FAMILY, cells)


@pytest.mark.parametrize("spell", [READ_BACK, once(READ_BACK)], ids=["always", "once"])
async def test_the_read_back_gives_something_else(studios: Studios, spell: Spell) -> None:
    """Whether it lies there, or only came so: nobody can tell, and nothing is named that was not proven."""
    cells = {
        f"read back: {what} at {point}": Capture(
            faults=repository(f"{what}@{point}"), spell=spell, ends=(NOT_KEPT,), retry_s=0
        )
        for what in ("flip", "short")
        for point in POINTS
    }
    await studios.run_cells(FAMILY, cells)


# --- refused ----------------------------------------------------------------------------------------------------------

REFUSALS: Final = {401: UNREACHABLE, 403: UNREACHABLE, 413: UNREACHABLE, 423: LOCKED, 500: UNREACHABLE}
"""Each status, and what the job ends with."""


@pytest.mark.parametrize("status", REFUSALS)
async def test_refused(studios: Studios, status: int) -> None:
    """From each kind of request on; what needs nothing but the token to be undone is not undone either."""
    faults, ends = repository(f"write-status={status}"), (REFUSALS[status],)
    cells = {"at all": Capture(faults=faults, ends=ends)} | {
        f"each {method}": Capture(
            faults=faults, spell=Spell(method=method), ends=ends, away=method in ("MOVE", "DELETE")
        )
        for method in WRITING
    }
    cells |= {
        f"the first {method}": Capture(faults=faults, spell=Spell(method=method, times=1), ends=ends)
        for method in WRITING
    }
    await studios.run_cells(FAMILY, {f"{status} for {name}": cell for name, cell in cells.items()})


async def test_refused_for_a_while(studios: Studios) -> None:
    cells = {
        f"{status} for {times} times {method}": Capture(
            faults=repository(f"write-status={status}"), spell=Spell(method=method, times=times), retry_s=RETRY_S
        )
        for status in (500, 503)
        for method in WRITING
        for times in (1, 2)
    }
    await studios.run_cells(FAMILY, cells)


async def test_sidecars_are_refused(studios: Studios) -> None:
    faults = repository("sidecars-refused")
    spell = Spell(method="PUT", name=f"{PART}.index")
    cells = {
        "all sidecars": Capture(faults=faults, ends=(UNREACHABLE,)),
        "the index": Capture(faults=faults, spell=spell, ends=(UNREACHABLE,)),
        "the index, once": Capture(faults=faults, spell=once(spell), retry_s=RETRY_S),
    }
    await studios.run_cells(FAMILY, {f"{name} refused": cell for name, cell in cells.items()})


# --- renamed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["move-ignored", "move-elsewhere"])
async def test_what_is_renamed_is_not(studios: Studios, what: str) -> None:
    """One of them, or each from one of them on. Where nothing can be renamed nothing can be put back either."""
    count = sum(method == "MOVE" for method, _ in await asked(studios))
    cells = {
        f"{what}, {times} times from the {after}th on": Capture(
            faults=repository(what),
            spell=Spell(method="MOVE", after=after, times=times),
            ends=(NOT_KEPT,),
            away=times > 1,
        )
        for after in range(count)
        for times in (1, count)
    }
    await studios.run_cells(FAMILY, cells)


# --- away -------------------------------------------------------------------------------------------------------------


async def test_down_at_each_request(studios: Studios) -> None:
    """For ever, and then the lock stays where there is one; once, and then nobody notices. The last request only looks:
    all is done by then.
    """
    count = len(await asked(studios))
    cells = {
        f"down from request {at} on": Capture(
            faults=repository("down"), spell=Spell(after=at), ends=(UNREACHABLE,), away=True
        )
        for at in range(count - 1)
    }
    cells |= {
        f"down at request {at}": Capture(faults=repository("down"), spell=Spell(after=at, times=1), retry_s=RETRY_S)
        for at in range(count)
    }
    cells |= {"down from the last request on": Capture(faults=repository("down"), spell=Spell(after=count - 1))}
    await studios.run_cells(FAMILY, cells)


async def test_the_answer_is_lost(studios: Studios) -> None:
    """It was done, and nobody has heard of it: asked again, it does no harm."""
    cells = {
        f"the answer to request {at}, {method} {name}, is lost": Capture(
            loses=True, spell=Spell(after=at, times=1), retry_s=RETRY_S
        )
        for at, (method, name) in enumerate(await asked(studios))
        if method in WRITING
    }
    await studios.run_cells(FAMILY, cells)


async def test_down_for_some_requests(studios: Studios) -> None:
    count = len(await asked(studios))
    cells = {
        f"down for 3 requests from {at} on": Capture(
            faults=repository("down"), spell=Spell(after=at, times=3), retry_s=RETRY_S
        )
        for at in range(0, count, 9)
    }
    await studios.run_cells(FAMILY, cells)


async def test_the_one_before_does_not_stay(studios: Studios) -> None:
    """From when on it is kept: it is there as long as it may have to be put back, and goes last of all."""
    requests = list(enumerate(await asked(studios, Capture(keep=False))))
    first = next(at for at, (method, _) in requests if method == "COPY")
    faults = {at: "write-status=403" if method in WRITING else "down" for at, (method, _) in requests[first:]}
    cells = {
        f"without the one before, {what} at request {at}": Capture(
            faults=repository(what), spell=Spell(after=at, times=1), ends=(UNREACHABLE, WELL), keep=False
        )
        for at, what in faults.items()
    }
    await studios.run_cells(FAMILY, cells)
