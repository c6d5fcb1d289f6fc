"""Stores of the boot manager: what named the partition of the model names the one that was restored, and no more."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.errors import NotReady
from ogagent.finish.bcd import NameBootDevices, place_in, stores, with_place
from ogagent.finish.drive import GptPlace, MsdosPlace, Place
from ogagent.finish.hive import copied
from ogagent.finish.reg_text import BINARY, Change, Value, Values
from tests.finish.folder import Folder
from tests.finish.windows_twin import (
    BOOT_MANAGER,
    LOADER,
    MEMORY,
    MODEL_DISK,
    MODEL_GPT_ID,
    MODEL_ID,
    MODEL_PARTITION,
    MODEL_SIGNATURE,
    MODEL_START,
    RECOVERY,
    RESUME,
    STORE,
    gpt_device,
    key,
    make_store,
    msdos_device,
    needs_hivex,
    other_device,
    partition_device,
    ramdisk_device,
    store_object,
)

HERE = MsdosPlace(0x11223344, 500 << 20)
HERE_DEVICE = msdos_device(HERE.signature, HERE.start)
HERE_GPT = GptPlace(UUID("00112233-4455-6677-8899-aabbccddeeff"), UUID("12345678-9abc-def0-1234-56789abcdef0"))
OTHER = msdos_device(MODEL_SIGNATURE, MODEL_START + (100 << 20))

REAL = bytes.fromhex(
    "0000000000000000000000000000000006000000000000004800000000000000"
    "000010000000000000000000000000000000000001000000b31464ff00000000"
    "000000000000000000000000000000000000000000000000"
)
"""Of a Windows 10 on an MSDOS disk, as its owner published it: the partition at 1 MiB, the disk 0xff6414b3."""

places = st.builds(MsdosPlace, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)) | st.builds(
    GptPlace, st.uuids(), st.uuids()
)
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


# --- device elements ----------------------------------------------------------------------------------------------


def test_a_real_one() -> None:
    assert place_in(REAL) == MsdosPlace(MODEL_SIGNATURE, MODEL_START)
    assert with_place(REAL, HERE) == HERE_DEVICE
    assert with_place(HERE_DEVICE, MsdosPlace(MODEL_SIGNATURE, MODEL_START)) == REAL == msdos_device()


def test_one_of_a_gpt() -> None:
    assert place_in(gpt_device()) == GptPlace(MODEL_DISK, MODEL_PARTITION)
    assert gpt_device()[32:48].hex() == "5d2d35b167d50a4e9f5b3f0b2b6a7c11"
    assert with_place(REAL, GptPlace(MODEL_DISK, MODEL_PARTITION)) == gpt_device()


@unhurried
@given(place=places, other=places, options=st.binary(min_size=16, max_size=16))
def test_round_trip(place: Place, other: Place, options: bytes) -> None:
    element = options + with_place(REAL, place)[16:]
    assert place_in(element) == place
    moved = with_place(element, other)
    assert place_in(moved) == other
    assert with_place(moved, place) == element
    assert (len(moved), moved[:32], moved[72:]) == (88, element[:32], element[72:])


@pytest.mark.parametrize("kind", [0, 3, 4, 5, 8])
def test_devices_that_name_no_partition(kind: int) -> None:
    assert place_in(other_device(kind)) is None


@pytest.mark.parametrize(
    "element",
    [
        b"",
        REAL[:31],
        REAL[:-1],
        REAL + b"\0",
        other_device(2),
        other_device(6, bytes(60)),
        other_device(77),
        partition_device(b"", 2, b""),
        partition_device(b"", 0, b"", disk_type=6),
    ],
)
def test_what_is_not_understood(element: bytes) -> None:
    with pytest.raises(ValueError, match=r"a (device|partition)"):
        place_in(element)


@unhurried
@given(st.binary(max_size=120))
def test_nothing_else_is_raised(element: bytes) -> None:
    try:
        place = place_in(element)
    except ValueError:
        return
    assert place is None or place_in(with_place(element, place)) == place


# --- stores -------------------------------------------------------------------------------------------------------


def store(device: bytes, manager: bytes, **more: bytes) -> str:
    return (
        store_object(BOOT_MANAGER, 0x10100002, _11000001=manager, _12000004=b"text")
        + store_object(LOADER, 0x10200003, _11000001=device, _21000001=device)
        + store_object(RESUME, 0x10200004, _11000001=device, _21000001=device)
        + store_object(MEMORY, 0x10200005, _11000001=manager)
        + store_object("{00000000-0000-0000-0000-000000000001}", 0x10200003, **more)
    )


async def elements(files: Folder, work: Path, path: str = STORE) -> dict[str, Values]:
    async with copied(files, path, work) as hive:
        return {key: values for key, values in (await hive.below(r"\Objects")).items() if values}


def device(owner: str, number: str) -> str:
    return rf"\Objects\{owner}\Elements\{number}"


async def finish(step: NameBootDevices) -> None:
    assert await step.needed()
    await step.do()
    await step.proof()
    assert not await step.needed()


@needs_hivex
async def test_a_store_on_a_partition_of_its_own(tmp_path: Path, work: Path) -> None:
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(msdos_device(), OTHER, _11000001=OTHER, _21000001=OTHER))
    before = await elements(files, work)
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    await finish(step)
    changed = {device(owner, number) for owner in (LOADER, RESUME) for number in ("11000001", "21000001")}
    expected = {each: {"element": Value(BINARY, HERE_DEVICE)} if each in changed else before[each] for each in before}
    assert await elements(files, work) == expected
    assert step.warnings == ()
    assert files.replaced == [STORE]
    assert (step.name, step.would) == (
        "boot devices, Boot/BCD",
        "the boot manager finds Windows where it is now (Boot/BCD)",
    )


@needs_hivex
async def test_a_store_that_was_restored_with_it(tmp_path: Path, work: Path) -> None:
    """The boot manager says which partition that was, also where the registry does not."""
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(msdos_device(), msdos_device(), _11000001=OTHER, _21000001=OTHER))
    step = NameBootDevices(files, STORE, work, former=None, here=HERE, own=True)
    await finish(step)
    found = await elements(files, work)
    for owner in (BOOT_MANAGER, LOADER, RESUME, MEMORY):
        assert found[device(owner, "11000001")]["element"].data == HERE_DEVICE
    assert found[device("{00000000-0000-0000-0000-000000000001}", "21000001")]["element"].data == OTHER


@needs_hivex
async def test_a_store_of_a_system_partition_keeps_what_it_says_of_that(tmp_path: Path, work: Path) -> None:
    path = "EFI/Microsoft/Boot/BCD"
    files = Folder(tmp_path / "root")
    esp = gpt_device(UUID(int=1))
    make_store(tmp_path / "root", store(gpt_device(), esp), path)
    await finish(NameBootDevices(files, path, work, former=MODEL_GPT_ID, here=HERE_GPT, own=False))
    found = await elements(files, work, path)
    assert found[device(LOADER, "21000001")]["element"].data == gpt_device(HERE_GPT.partition, HERE_GPT.disk)
    assert found[device(MEMORY, "11000001")]["element"].data == esp


@needs_hivex
async def test_the_same_partition_on_another_disk(tmp_path: Path, work: Path) -> None:
    """A GPT that was copied keeps the GUIDs of its partitions, and the disk may have got another."""
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(gpt_device(HERE_GPT.partition, UUID(int=9)), OTHER))
    await finish(NameBootDevices(files, STORE, work, former=None, here=HERE_GPT, own=False))
    found = await elements(files, work)
    assert found[device(LOADER, "11000001")]["element"].data == gpt_device(HERE_GPT.partition, HERE_GPT.disk)


@needs_hivex
@pytest.mark.parametrize(
    "left",
    [
        {"_11000001": other_device(5), "_21000001": other_device(5)},
        {"_11000001": other_device(8), "_21000001": other_device(8)},
        {"_11000001": ramdisk_device(OTHER), "_21000001": ramdisk_device(OTHER)},
        {"_11000001": OTHER, "_21000001": OTHER, "_12000002": msdos_device(), "_16000009": b"\1"},
    ],
)
async def test_what_is_none_of_the_models_is_left_alone(tmp_path: Path, work: Path, left: dict[str, bytes]) -> None:
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(HERE_DEVICE, OTHER, **left))
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    assert not await step.needed()
    assert step.warnings == ()


@needs_hivex
async def test_what_is_not_understood_is_left_and_told(tmp_path: Path, work: Path) -> None:
    strange = "{00000000-0000-0000-0000-000000000001}"
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(msdos_device(), OTHER, _11000001=other_device(2), _21000001=REAL[:-1]))
    before = await elements(files, work)
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    await finish(step)
    assert step.warnings == (
        f"element 11000001 of object {strange} is not understood, and left as it is: a device of type 2 and 88 bytes",
        f"element 21000001 of object {strange} is not understood, and left as it is: a device of type 6 and 87 bytes",
    )
    found = await elements(files, work)
    for number in ("11000001", "21000001"):
        assert found[device(strange, number)] == before[device(strange, number)]


@needs_hivex
@pytest.mark.parametrize(
    ("mentioned", "former", "here"), [(msdos_device(), MODEL_ID, HERE), (gpt_device(), MODEL_GPT_ID, HERE_GPT)]
)
async def test_a_recovery_environment_of_the_model_is_told(
    tmp_path: Path, work: Path, mentioned: bytes, former: bytes, here: Place
) -> None:
    files = Folder(tmp_path / "root")
    objects = store(mentioned, OTHER) + store_object(
        RECOVERY, 0x30000000, _31000003=mentioned, _11000001=ramdisk_device(mentioned), _32000004=b"text"
    )
    make_store(tmp_path / "root", objects)
    step = NameBootDevices(files, STORE, work, former=former, here=here, own=False)
    await finish(step)
    assert step.warnings == (
        f"element 11000001 of object {RECOVERY} names the partition of the model, and is left as it is",
        f"element 31000003 of object {RECOVERY} names the partition of the model, and is left as it is",
    )


@needs_hivex
async def test_a_store_that_starts_something_else(tmp_path: Path, work: Path) -> None:
    """What wakes a Windows, or is a recovery environment, is not the Windows."""
    wakes = store_object("{00000000-0000-0000-0000-000000000002}", 0x10200004, _21000001=HERE_DEVICE)
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(OTHER, OTHER, _21000001=ramdisk_device(OTHER)) + wakes)
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    assert not await step.needed()
    assert step.warnings == ("nothing in Boot/BCD starts the Windows that was restored",)


@needs_hivex
@pytest.mark.parametrize("found", [other_device(5), other_device(8), HERE_DEVICE])
async def test_a_store_that_starts_it(tmp_path: Path, work: Path, found: bytes) -> None:
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(OTHER, OTHER, _21000001=found))
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    assert not await step.needed()
    assert step.warnings == ()


@needs_hivex
async def test_the_proof_fails_when_one_has_changed_back(tmp_path: Path, work: Path) -> None:
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", store(msdos_device(), OTHER))
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=False)
    await finish(step)
    async with copied(files, STORE, work) as hive:
        await hive.merge([Change(device(RESUME, "21000001"), "Element", Value(BINARY, REAL))])
        await hive.put_back()
    with pytest.raises(NotReady, match=r"Boot/BCD does not hold what was written: .*21000001"):
        await step.proof()


@needs_hivex
async def test_a_store_with_nothing_in_it(tmp_path: Path, work: Path) -> None:
    files = Folder(tmp_path / "root")
    make_store(tmp_path / "root", key(r"\Objects\{x}"))
    step = NameBootDevices(files, STORE, work, former=MODEL_ID, here=HERE, own=True)
    assert not await step.needed()
    assert len(step.warnings) == 1


def test_where_stores_are(tmp_path: Path) -> None:
    for path in ("boot/bcd", "EFI/MICROSOFT/Boot/BCD"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert stores(Folder(tmp_path)) == ["boot/bcd", "EFI/MICROSOFT/Boot/BCD"]
    assert stores(Folder(tmp_path / "boot")) == []
