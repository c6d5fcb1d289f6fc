"""A boot loader for UEFI: which programs, where, and what the firmware is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import NotReady
from ogagent.finish.efi import FirmwareEntry, esp_of, first_program, loader_edits, loaders_of
from ogagent.finish.grub import refuse_grub
from ogagent.finish.place import Place
from ogagent.finish.system import System
from ogagent.model.disk import PROTECTED
from simulator.machine.file_finisher import TreeFiles
from simulator.tree import Node
from tests.finish.places import ESP, OTHER, ROOT, place
from tests.power.fake_firmware import FakeFirmware

DEBIAN = System(name="Debian 12", vendor="debian", menu="boot/grub")
IMAGE = {
    "/usr/lib/shim/shimx64.efi.signed": b"shim",
    "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": b"grub",
    "/usr/lib/shim/mmx64.efi.signed": b"manager",
}
STUB = b"search.fs_uuid root-uuid root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
HERE = place(ROOT, ESP, OTHER, uefi=True)


def files(content: dict[str, bytes]) -> TreeFiles:
    nodes = {path: Node(kind="file", content=each) for path, each in content.items()}
    for path in content:
        for above in Path(path).parents:
            nodes.setdefault(str(above), Node(kind="directory"))
    return TreeFiles(nodes)


def laid(image: dict[str, bytes], esp: dict[str, bytes], at: Place = HERE, system: System = DEBIAN) -> dict[str, bytes]:
    there = files(esp)
    for edit in list(loader_edits(at, system, loaders_of(files(image)), there, f"/{system.menu}")):
        edit.make(there)
    return {path: node.content for path, node in there.nodes.items() if node.kind == "file"}


def test_the_image_s_own_signed_loaders_and_a_stub() -> None:
    assert laid(IMAGE, {}) == {
        "/EFI/debian/shimx64.efi": b"shim",
        "/EFI/debian/grubx64.efi": b"grub",
        "/EFI/debian/mmx64.efi": b"manager",
        "/EFI/debian/grub.cfg": STUB,
        "/EFI/BOOT/BOOTX64.EFI": b"shim",
        "/EFI/BOOT/grubx64.efi": b"grub",
        "/EFI/BOOT/mmx64.efi": b"manager",
    }


def test_a_derivative_has_its_stub_where_the_grub_that_it_took_looks() -> None:
    grub = b"grub-core\0(memdisk)/grub.cfg\n\0\0\x18\0/EFI/debian\0\0\0"
    image = {**IMAGE, "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": grub}
    mint = replace(DEBIAN, name="LMDE 6", vendor="linuxmint")
    found = laid(image, {}, system=mint)
    assert found["/EFI/debian/grub.cfg"] == STUB
    assert not [path for path in found if "mint" in path]
    with pytest.raises(NotReady, match=r"EFI/debian/grub.cfg starts partition 5 of disk 1"):
        laid(image, {"/EFI/debian/grub.cfg": b"search.fs_uuid other-uuid root\n"}, system=mint)


@pytest.mark.parametrize(
    "grub", [b"\0/EFI/boot\0", b"\0/EFI/debian\0/EFI/ubuntu\0", b"\0/EFI/../x\0", b"\0/EFI/debian"]
)
def test_a_grub_that_names_no_directory_of_its_own(grub: bytes) -> None:
    image = {"/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": grub}
    assert laid(image, {})["/EFI/debian/grub.cfg"] == STUB


def test_on_btrfs_the_menu_is_where_the_mounted_subvolume_has_it() -> None:
    btrfs = replace(HERE, volume=replace(ROOT, filesystem="btrfs"))
    assert laid(IMAGE, {}, at=btrfs)["/EFI/debian/grub.cfg"] == b'set btrfs_relative_path="yes"\n' + STUB


def test_another_system_s_files_stay() -> None:
    there = {"/EFI/Boot/bootx64.efi": b"windows", "/EFI/Microsoft/Boot/bootmgfw.efi": b"windows", "/EFI/ubuntu/x": b"u"}
    found = laid(IMAGE, there)
    assert {path: found[path] for path in there} == there
    assert "/EFI/BOOT/BOOTX64.EFI" not in found
    assert found["/EFI/debian/grub.cfg"] == STUB


def test_a_stub_of_what_is_not_here_any_more_is_replaced_and_one_of_another_partition_is_not() -> None:
    assert laid(IMAGE, {"/EFI/DEBIAN/grub.cfg": b"search.fs_uuid gone root\n"})["/EFI/DEBIAN/grub.cfg"] == STUB
    with pytest.raises(NotReady, match=r"EFI/debian/grub.cfg starts partition 5 of disk 1"):
        laid(IMAGE, {"/EFI/debian/grub.cfg": b"search.fs_uuid other-uuid root\n"})


def test_a_loader_that_is_there_serves_an_image_without_one() -> None:
    assert laid({}, {"/EFI/debian/grubx64.efi": b"grub"}) == {
        "/EFI/debian/grubx64.efi": b"grub",
        "/EFI/debian/grub.cfg": STUB,
    }
    with pytest.raises(NotReady, match="has no boot loader for UEFI in it"):
        laid({}, {})


def test_the_firmware_starts_what_is_there() -> None:
    """An image with a shim alone brings nothing to the ESP."""
    shim = loaders_of(files({"/usr/lib/shim/shimx64.efi.signed": b"shim"}))
    assert first_program(DEBIAN, loaders_of(files(IMAGE)), files({})) == "shimx64.efi"
    assert first_program(DEBIAN, shim, files({"/EFI/debian/grubx64.efi": b"grub"})) == "grubx64.efi"
    both = files({"/EFI/debian/grubx64.efi": b"grub", "/EFI/debian/shimx64.efi": b"shim"})
    assert first_program(DEBIAN, loaders_of(files({})), both) == "shimx64.efi"


def test_what_is_protected_is_not_written_to() -> None:
    kept = replace(ESP, target=replace(ESP.target, problem=PROTECTED))
    with pytest.raises(NotReady, match="no EFI system partition"):
        esp_of(place(ROOT, kept, OTHER, uefi=True), DEBIAN)
    bios = replace(kept, esp=False, bios_boot=True)
    with pytest.raises(NotReady, match="which must not be: it is protected"):
        refuse_grub(place(ROOT, bios), DEBIAN)


def test_where_there_is_no_place_for_it() -> None:
    with pytest.raises(NotReady, match="no EFI system partition"):
        esp_of(place(ROOT, OTHER, uefi=True), DEBIAN)
    with pytest.raises(NotReady, match="has no menu of GRUB"):
        esp_of(HERE, System(name="Debian 12", vendor="debian"))


# --- the firmware -------------------------------------------------------------------------------------------------

PATH = "\\EFI\\debian\\shimx64.efi"
NETWORK = "Boot0000* UEFI PXEv4\tPciRoot(0x0)/MAC(525400123456,1)"
FAR = "Boot0007* other\tHD(2,GPT,somewhere-else,0x800,0x8000)/File(\\EFI\\debian\\shimx64.efi)"
PLACE = "HD(1,GPT,part-1,0x800,0x8000)"
OWN = f"debian\t{PLACE}/File({PATH})"


def told(order: str, *entries: str) -> str:
    return "\n".join((f"BootOrder: {order}", *entries))


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeFirmware]:
    return lambda *lines: FakeFirmware.installed(tmp_path, monkeypatch, told(*lines))


async def made(warnings: list[str]) -> bool:
    """Whether there was anything to do."""
    step = FirmwareEntry(ESP, "debian", PATH)
    needed = await step.needed()
    if needed:
        await step.do()
        await step.proof()
    warnings += step.warnings
    return needed


OTHER_ENTRY = f"Boot0009* Other\t{PLACE}/File(\\EFI\\other.efi)"


async def test_an_entry_comes_after_those_that_are_there(firmware: Callable[..., FakeFirmware]) -> None:
    memory, warnings = firmware("0000,0007,0009", NETWORK, FAR, OTHER_ENTRY), list[str]()
    assert await made(warnings)
    assert memory.order == "0000,0007,0009,0001"
    assert [line for line in memory.entries if line.startswith("Boot0001* debian")]
    before = memory.changes
    assert not await made(warnings)
    assert (memory.changes, warnings) == (before, [])


async def test_duplicates_of_ours_go_and_nobody_else_s_do(firmware: Callable[..., FakeFirmware]) -> None:
    lines = (NETWORK, f"Boot0003* {OWN}", FAR, f"Boot0004* {OWN}", OTHER_ENTRY)
    memory, warnings = firmware("0003,0000,0004,0007,0009", *lines), list[str]()
    assert await made(warnings)
    assert memory.order == "0003,0000,0007,0009"
    assert [line[:8] for line in memory.entries] == ["Boot0000", "Boot0003", "Boot0007", "Boot0009"]
    assert warnings == []


async def test_one_that_pushes_forward_is_put_back(firmware: Callable[..., FakeFirmware]) -> None:
    """A network that came first stays first, or the PC would never come back to its ogLive."""
    memory = firmware("0000,0009", NETWORK, OTHER_ENTRY)
    memory.pushes_forward = True
    assert await made([])
    assert memory.order == "0000,0009,0001"


@pytest.mark.parametrize(
    ("attribute", "value"), [("refuses", "--create-only"), ("forgets", "entries"), ("refuses", "-v")]
)
async def test_a_firmware_that_refuses_is_a_warning(
    firmware: Callable[..., FakeFirmware], attribute: str, value: str
) -> None:
    memory, warnings = firmware("0000,0009", NETWORK, OTHER_ENTRY), list[str]()
    setattr(memory, attribute, value)
    await made(warnings)
    assert len(warnings) == 1
    assert memory.order == "0000,0009"
