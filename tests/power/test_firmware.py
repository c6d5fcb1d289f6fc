"""Boot entries as efibootmgr tells them, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.errors import ToolFailed
from ogagent.power.down import Down
from ogagent.power.efi import EfiEntry, loader_suffix, parse_firmware, read_firmware
from ogagent.power.esp import Loader
from tests.power.fake_firmware import FakeFirmware
from tests.power.test_esp import target

TEXTS = Path(__file__).parent / "firmware"
CLASSROOM = "5a1d6c1e-70a4-4d5b-9b3e-2f6a1c0de001"
WORKSTATION = "9c0f3d52-1c2b-4f67-8a55-0b7f3c9d2a10"
ELDERLY = "72931328-061b-42e0-8fd8-8a5ac7775000"
BOOTMGFW = r"\EFI\Microsoft\Boot\bootmgfw.efi"
UBUNTU = Loader(path=r"\EFI\ubuntu\shimx64.efi", label="ubuntu", kind="vendor")
DEBIAN = Loader(path=r"\EFI\debian\shimx64.efi", label="debian", kind="vendor")
NETWORK_FIRST = "0003,0004,0000,0001,0002"


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "order", "following"),
    [
        ("classroom-17", ("0003", "0004", "0000", "0001", "0002"), ""),
        ("workstation-18", ("0001", "0006", "0002", "2001", "2002", "2003"), "0006"),
        ("elderly-0", ("000B", "0010", "0008"), ""),
        ("msdos-esp-17", (), ""),
    ],
)
def test_the_order_and_the_next(name: str, order: tuple[str, ...], following: str) -> None:
    firmware = parse_firmware(text(name))
    assert (firmware.order, firmware.next) == (order, following)


@pytest.mark.parametrize(
    ("name", "uuid", "path", "number"),
    [
        ("classroom-17", CLASSROOM, BOOTMGFW, "0000"),
        ("classroom-17", CLASSROOM.upper(), UBUNTU.path, "0001"),
        ("classroom-17", CLASSROOM, DEBIAN.path, None),
        ("classroom-17", WORKSTATION, UBUNTU.path, None),
        ("classroom-17", "", UBUNTU.path, None),
        ("workstation-18", WORKSTATION, BOOTMGFW, "0002"),
        ("workstation-18", WORKSTATION, r"\EFI\fedora\shimx64.efi", "0006"),
        ("workstation-18", WORKSTATION, DEBIAN.path, None),  # switched off
        ("elderly-0", ELDERLY, BOOTMGFW, "0010"),
        ("elderly-0", "26c6992a-07b8-43bc-98b8-d8c83e64d000", r"\EFI\Microsoft\Boot\lrsBootMgr.efi", "000C"),
        ("msdos-esp-17", "04012e69-01", r"\EFI\debian\grubx64.efi", "0001"),
        ("msdos-esp-17", "04012e69-02", r"\EFI\debian\grubx64.efi", None),
        ("msdos-esp-17", "14012e69-01", r"\EFI\debian\grubx64.efi", None),
    ],
)
def test_the_entry_of_a_program(name: str, uuid: str, path: str, number: str | None) -> None:
    entry = parse_firmware(text(name)).entry(uuid, path)
    assert (entry.number if entry else None) == number


def test_labels_are_read() -> None:
    labels = [each.label for each in parse_firmware(text("workstation-18")).entries]
    assert labels[1:4] == ["Windows Boot Manager", "Fedora", "debian"]


@pytest.mark.parametrize(
    ("machine", "bits", "suffix"),
    [("x86_64", "64", "x64"), ("x86_64", "32", "ia32"), ("x86_64", "", "x64"), ("aarch64", "64", "aa64")],
)
def test_programs_are_those_of_the_firmware(tmp_path: Path, machine: str, bits: str, suffix: str) -> None:
    if bits:
        (tmp_path / "fw_platform_size").write_text(f"{bits}\n")
    assert loader_suffix(tmp_path, machine) == suffix


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFirmware:
    return FakeFirmware.installed(tmp_path, monkeypatch, text("classroom-17"))


def entry(loader: Loader, number: str = "", uuid: str = CLASSROOM) -> EfiEntry:
    async def nothing() -> None: ...

    return EfiEntry(target(1), uuid, loader, number, Down(nothing))


async def test_one_that_is_there_comes_next_and_nothing_else_changes(firmware: FakeFirmware) -> None:
    way = entry(UBUNTU, "0001")
    assert way.would == r"start \EFI\ubuntu\shimx64.efi of /dev/sd11 once, by Boot0001, and restart"
    await way.prepare()
    after = await read_firmware()
    assert (",".join(after.order), after.next) == (NETWORK_FIRST, "0001")
    assert after.entries == parse_firmware(text("classroom-17")).entries
    assert firmware.changes == ["--bootnext 0001"]


async def test_one_is_made_and_the_order_stays(firmware: FakeFirmware) -> None:
    way = entry(DEBIAN)
    assert "a new boot entry" in way.would
    await way.prepare()
    after = await read_firmware()
    assert (",".join(after.order), after.next) == (NETWORK_FIRST, "0005")
    made = after.entry(CLASSROOM, DEBIAN.path)
    assert made is not None
    assert (made.number, made.label) == ("0005", "debian")
    assert firmware.changes == [
        r"--create-only --disk /dev/sd1 --part 1 --label debian --loader \EFI\debian\shimx64.efi",
        "--bootnext 0005",
    ]
    await way.prepare()
    assert firmware.changes[2:] == ["--bootnext 0005"]


async def test_an_order_that_was_changed_is_put_back(firmware: FakeFirmware) -> None:
    firmware.pushes_forward = True
    await entry(DEBIAN).prepare()
    after = await read_firmware()
    assert (",".join(after.order), after.next) == (NETWORK_FIRST, "0005")
    assert firmware.changes[-1] == f"--bootorder {NETWORK_FIRST}"


async def test_also_when_the_rest_fails(firmware: FakeFirmware) -> None:
    firmware.pushes_forward = True
    firmware.refuses = "--bootnext"
    with pytest.raises(ToolFailed, match="efibootmgr failed with status"):
        await entry(DEBIAN).prepare()
    assert ",".join((await read_firmware()).order) == NETWORK_FIRST


async def test_an_order_that_was_none_is_none_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = FakeFirmware.installed(tmp_path, monkeypatch, text("msdos-esp-17"))
    firmware.pushes_forward = True
    await entry(DEBIAN, uuid="04012e69-01").prepare()
    assert (await read_firmware()).order == ()
    assert firmware.changes[-1] == "--delete-bootorder"


async def test_firmware_that_forgets_what_it_was_told(firmware: FakeFirmware) -> None:
    firmware.forgets = "next"
    with pytest.raises(ToolFailed, match="does not take Boot0001"):
        await entry(UBUNTU, "0001").prepare()
    firmware.forgets = "entries"
    with pytest.raises(ToolFailed, match="does not keep a new boot entry"):
        await entry(DEBIAN).prepare()
    assert ",".join((await read_firmware()).order) == NETWORK_FIRST


async def test_without_the_variables_of_the_firmware(firmware: FakeFirmware) -> None:
    firmware.refuses = "-v"
    with pytest.raises(ToolFailed, match="EFI variables are not supported"):
        await read_firmware()
