"""Real partitions on real disks, looked into and chosen for the next start.

What is asked of the firmware and of kexec is asked of programs of their names.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.disk.blkid import filesystem_uuid, partition_uuid
from ogagent.disk.boot_record import make_active
from ogagent.errors import DeviceBusy, DiskChanged, NoSystem
from ogagent.model.disk import TableKind
from ogagent.model.plan import Target
from ogagent.power.active import ActivePartition
from ogagent.power.down import Down
from ogagent.power.look import Look, looking_from, probed
from ogagent.power.power import BootPlace
from ogagent.power.real import RealPower
from tests.devices import conftest
from tests.devices.conftest import LoopDisk
from tests.devices.test_read_only import Tool, mounted, nothing_stays
from tests.power.fake_firmware import FakeFirmware, install
from tests.power.test_esp import GRUB
from tests.power.test_systems import MENU

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")

MIB = 1 << 20
SYSTEM = "start=1MiB, size=16MiB, type=83, bootable\nstart=20MiB, size=16MiB, type=83\n"
MSDOS = f"label: dos\nlabel-id: 0x04012e69\n{SYSTEM}"
LOGICAL = f"{MSDOS}start=40MiB, size=20MiB, type=5\nstart=41MiB, size=16MiB, type=83\n"
GPT = "label: gpt\nstart=1MiB, size=16MiB, type=linux\nstart=20MiB, size=16MiB, type=linux\n"
ENTRY = "Boot0001* debian\tHD(1,GPT,{},0x800,0x8000)/File(\\EFI\\debian\\grubx64.efi)"
FIRMWARE = "BootOrder: 0000,0001\nBoot0000* UEFI PXEv4\tPciRoot(0x0)/MAC(525400123456,1)\n" + ENTRY


def bound(device: str, number: int) -> Target:
    return replace(conftest.bound(f"{device}p{number}"), partition=number)


def place(device: str, number: int, table: TableKind = "msdos", filesystem: str = "ext4") -> BootPlace:
    return BootPlace(partition=bound(device, number), filesystem=filesystem, table=table)


def linux(tool: Tool, device: str, folder: Path, menu: str = MENU) -> None:
    tool("mke2fs", "-q", "-t", "ext4", device)
    uuid = tool("blkid", "-p", "-s", "UUID", "-o", "value", device).strip()
    files = {
        "etc/os-release": "ID=debian",
        "boot/grub/grub.cfg": menu.replace("abcd", uuid),
        "boot/vmlinuz": "the kernel",
        "boot/initrd": "the first files",
    }
    with mounted(device, folder / "made"):
        for path, text in files.items():
            (folder / "made" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "made" / path).write_text(text)


class Rig:
    """``done`` is what the kernel was called for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.firmware = folder / "efi"

    def power(self, *, kexec: bool = False, look: Look | None = None) -> RealPower:
        async def leave() -> None: ...

        systemd = self.folder / "none"
        down = Down(leave, systemd=systemd, kernel=lambda command: self.done.append(hex(command)), sync=lambda: None)
        return RealPower(down, look or looking_from(self.folder), kexec=kexec, firmware=self.firmware)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def sectors(device: str) -> bytes:
    return Path(device).read_bytes()


def flags(sector: bytes) -> list[int]:
    return [sector[446 + 16 * row] for row in range(4)]


@pytest.mark.parametrize("sector_size", [512, 4096])
async def test_it_alone_is_active_and_no_other_byte_changes(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, sector_size: int
) -> None:
    device = loop_disk(64 * MIB, MSDOS, sector_size)
    linux(tool, f"{device}p2", rig.folder)
    before = sectors(device)
    assert flags(before) == [0x80, 0, 0, 0]
    way = await rig.power().way_to(place(device, 2))
    assert way.would == "make partition 2 of disk 1 the active one, and restart"
    assert sectors(device) == before
    await way.prepare()
    after = sectors(device)
    assert flags(after) == [0, 0x80, 0, 0]
    assert [at for at in range(512) if before[at] != after[at]] == [446, 462]
    assert before[512:] == after[512:]
    assert rig.done == []
    await way.go()
    assert rig.done == ["0x1234567"]
    await nothing_stays(f"{device}p2", rig.folder)


async def test_also_beside_a_partition_in_use(loop_disk: LoopDisk, tool: Tool, rig: Rig, mount: conftest.Mount) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    linux(tool, f"{device}p2", rig.folder)
    tool("mke2fs", "-q", f"{device}p1")
    mount(f"{device}p1")
    await (await rig.power().way_to(place(device, 2))).prepare()
    assert flags(sectors(device)) == [0, 0x80, 0, 0]


def test_what_is_active_is_left_alone(loop_disk: LoopDisk) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    before = sectors(device)
    make_active(bound(device, 1))
    assert sectors(device) == before


def test_another_disk_or_table_is_left_alone(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    target = bound(device, 2)
    before = sectors(device)
    for other in ({"identity": "wwn:other"}, {"start": 8 * MIB}, {"partition": 3}):
        with pytest.raises(DiskChanged):
            make_active(replace(target, **other))
    assert sectors(device) == before
    gpt = loop_disk(64 * MIB, GPT)
    with pytest.raises(DiskChanged):
        make_active(replace(bound(gpt, 1), partition=1, start=512))


async def test_who_changes_the_table_is_waited_for(loop_disk: LoopDisk, rig: Rig) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    fd = os.open(device, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    work = asyncio.create_task(asyncio.to_thread(make_active, bound(device, 2)))
    await asyncio.wait([work], timeout=0.5)
    assert flags(sectors(device)) == [0x80, 0, 0, 0]
    os.close(fd)
    await work
    assert flags(sectors(device)) == [0, 0x80, 0, 0]


@pytest.mark.parametrize(("table", "kind", "number", "why"), [(LOGICAL, "msdos", 5, "logical"), (GPT, "gpt", 2, "GPT")])
async def test_what_no_bios_starts(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, table: str, kind: TableKind, number: int, why: str
) -> None:
    device = loop_disk(64 * MIB, table)
    linux(tool, f"{device}p{number}", rig.folder)
    with pytest.raises(NoSystem, match=why) as found:
        await rig.power().way_to(place(device, number, kind))
    assert "machine.kexec" in found.value.hint
    assert found.value.der.startswith("006-")


async def test_files_are_no_system(loop_disk: LoopDisk, tool: Tool, rig: Rig) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    tool("mke2fs", "-q", "-t", "ext4", f"{device}p2")
    with pytest.raises(NoSystem, match="partition 2 of disk 1 holds no system"):
        await rig.power().way_to(place(device, 2))


async def test_a_partition_that_somebody_has_mounted(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, mount: conftest.Mount
) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    linux(tool, f"{device}p2", rig.folder)
    mount(f"{device}p2", "other")
    with pytest.raises(DeviceBusy):
        await rig.power().way_to(place(device, 2))


KEXEC = """#!/bin/sh
for word; do
    case "$word" in
        /proc/*) cat "$word" ;;
        --initrd=*) cat "${{word#--initrd=}}" ;;
        *) echo "[$word]" ;;
    esac
done >> {log}
"""


class Asked:
    """What a program of the name kexec was told, and what it found in the files."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @property
    def words(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    programs, log = tmp_path / "programs", tmp_path / "asked"
    programs.mkdir()
    install(programs / "kexec", KEXEC.format(log=log))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return Asked(log)


@pytest.mark.parametrize(("table", "number"), [(MSDOS, 2), (LOGICAL, 5)])
async def test_a_linux_is_loaded_and_started(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, asked: Asked, table: str, number: int
) -> None:
    device = loop_disk(64 * MIB, table)
    linux(tool, f"{device}p{number}", rig.folder)
    before = sectors(device)
    way = await rig.power(kexec=True).way_to(place(device, number))
    assert way.would == f"start ./boot/vmlinuz of {device}p{number} by kexec"
    assert asked.words == ""
    await way.prepare()
    assert asked.words == "[--load]\nthe kernelthe first files[--command-line=root=/dev/sda2]\n"
    await way.go()
    assert rig.done == ["0x45584543"]
    assert sectors(device) == before
    await nothing_stays(f"{device}p{number}", rig.folder)


async def test_a_menu_that_starts_another_partition_is_not_believed(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, asked: Asked
) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    linux(tool, f"{device}p2", rig.folder, MENU.replace("abcd", "0d9c8b7a-1111-4222-8333-444455556666"))
    way = await rig.power(kexec=True).way_to(place(device, 2))
    assert isinstance(way, ActivePartition)


def looking(rig: Rig, esp: Target, files: Path) -> Look:
    """As if the files lay on the ESP: kernels without FAT have to do."""
    real = looking_from(rig.folder)

    @asynccontextmanager
    async def look(target: Target, filesystem: str) -> AsyncIterator[int]:
        if target != esp:
            async with real(target, filesystem) as root:
                yield root
            return
        assert filesystem == "vfat"
        fd = os.open(files, os.O_RDONLY | os.O_DIRECTORY)
        yield fd
        os.close(fd)

    return look


@pytest.mark.parametrize("table", ["gpt", "msdos"])
async def test_by_uefi_its_loader_is_next(
    loop_disk: LoopDisk, tool: Tool, rig: Rig, monkeypatch: pytest.MonkeyPatch, table: TableKind
) -> None:
    device = loop_disk(64 * MIB, GPT if table == "gpt" else MSDOS)
    linux(tool, f"{device}p2", rig.folder)
    rig.firmware.mkdir()
    esp, files = bound(device, 1), rig.folder / "esp"
    (files / "EFI/debian").mkdir(parents=True)
    (files / "EFI/debian/grubx64.efi").write_text("MZ")
    (files / "EFI/debian/grub.cfg").write_text(GRUB.format(await probed(f"{device}p2", filesystem_uuid)))
    uuid = await probed(esp.device, partition_uuid)
    assert (uuid == "04012e69-01") == (table == "msdos")
    told = FIRMWARE.format(uuid) if table == "gpt" else FIRMWARE.format("").replace("GPT,", "MBR,0x4012e69")
    firmware = FakeFirmware.installed(rig.folder, monkeypatch, told)
    before = sectors(device)
    where = replace(place(device, 2, table), esps=(esp,))
    way = await rig.power(kexec=True, look=looking(rig, esp, files)).way_to(where)
    assert "Boot0001" in way.would
    assert firmware.changes == []
    await way.prepare()
    await way.go()
    assert (firmware.changes, firmware.order, rig.done) == (["--bootnext 0001"], "0000,0001", ["0x1234567"])
    assert sectors(device) == before


async def test_by_uefi_without_an_esp(loop_disk: LoopDisk, tool: Tool, rig: Rig) -> None:
    device = loop_disk(64 * MIB, GPT)
    linux(tool, f"{device}p2", rig.folder)
    rig.firmware.mkdir()
    with pytest.raises(NoSystem, match="no EFI system partition"):
        await rig.power().way_to(place(device, 2, "gpt"))


@pytest.mark.parametrize("boot_manager", [True, False])
async def test_windows_needs_its_boot_manager(loop_disk: LoopDisk, tool: Tool, rig: Rig, boot_manager: bool) -> None:
    device = loop_disk(64 * MIB, MSDOS)
    tool("mkfs.ntfs", "-q", "-f", "-F", f"{device}p2")
    with mounted(f"{device}p2", rig.folder / "mnt"):
        (rig.folder / "mnt/Windows/System32").mkdir(parents=True)
        (rig.folder / "mnt/Windows/System32/ntoskrnl.exe").write_text("MZ")
        if boot_manager:
            (rig.folder / "mnt/bootmgr").write_text("x")
    where = place(device, 2, filesystem="ntfs")
    if boot_manager:
        await (await rig.power(kexec=True).way_to(where)).prepare()
        assert flags(sectors(device)) == [0, 0x80, 0, 0]
    else:
        with pytest.raises(NoSystem, match="bootmgr"):
            await rig.power(kexec=True).way_to(where)
