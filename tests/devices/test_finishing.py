"""A partition that holds its image is made ready, on a loop device: real tools, real mounts."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ogagent.disk.boot_record import is_startable
from ogagent.disk.real import RealMachine
from ogagent.errors import FinishError
from ogagent.finish.finish import foreseen, make_ready
from ogagent.finish.hook import Job
from ogagent.finish.place import Place
from ogagent.finish.real import RealFinisher
from ogagent.model.disk import Partition
from ogagent.model.plan import bound
from ogagent.model.progress import JobProgress
from ogagent.model.units import MIB
from ogagent.resize.resizer import until_free
from ogagent.settings import FinishSettings
from tests.devices.conftest import LoopDisk, Mount, unmount
from tests.finish import debian
from tests.finish.windows_twin import (
    BOOT_MANAGER,
    LOADER,
    make_store,
    make_windows,
    msdos_device,
    needs_hivex,
    store_object,
)

Tool = Any

GPT = (
    "label: gpt\nstart=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649\n"
    "start=2MiB, size=200MiB, type=linux\nstart=202MiB, size=16MiB, type=swap\nstart=218MiB, size=40MiB, type=uefi\n"
)
MSDOS = "label: dos\nstart=1MiB, size=200MiB, type=83\nstart=201MiB, size=16MiB, type=82\n"
MAKERS = {
    "ext4": ("mke2fs", "-q", "-t", "ext4"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-d", "size=300m"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-b", "160M"),
    "ntfs": ("mkfs.ntfs", "-Q", "-q"),
}
LARGE = GPT.replace("200MiB", "420MiB").replace("start=202MiB", "start=422MiB").replace("start=218MiB", "start=438MiB")


class Target:
    """``number`` of the partition that holds a Debian, whose file system has 64 MiB of it."""

    def __init__(self, device: str, number: int, folder: Path, tool: Tool) -> None:
        self.device, self.number = device, number
        self.node = f"{device}p{number}"
        self.machine = RealMachine([device], [])
        self.folder = folder
        self.tool = tool

    def fill(self, kind: str = "ext4") -> None:
        self.make(kind)
        self.uuid = self.tool("blkid", "-p", "-s", "UUID", "-o", "value", self.node).strip()
        root = self.folder / "model"
        root.mkdir()
        self.tool("mount", self.node, root)
        try:
            debian.lay_out(root, debian.files(self.uuid))
        finally:
            unmount(root)

    def make(self, kind: str) -> None:
        length = {"ext4": ("64M",), "ntfs": (str(64 * MIB // 512),)}.get(kind, ())
        self.tool(*MAKERS[kind], self.node, *length)

    async def place(self, *, uefi: bool = False, name: str = "pc1") -> tuple[RealFinisher, Place]:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        finisher = RealFinisher(self.machine, state, uefi=uefi)
        inventory = await self.machine.inventory()
        (disk,) = [each for each in inventory.disks if each.device == self.device]
        part: Partition = next(each for each in disk.partitions if each.partition == self.number)
        volumes = await finisher.volumes(inventory)
        return finisher, Place.of(bound(disk, part), inventory, volumes, uefi=uefi, name=name)


@pytest.fixture
def swap(tool: Tool) -> Any:
    def make(node: str) -> str:
        tool("mkswap", node)
        return str(tool("blkid", "-p", "-s", "UUID", "-o", "value", node).strip())

    return make


def sector(device: str) -> bytes:
    return Path(device).read_bytes()[:512]


def states(progress: JobProgress) -> dict[str, str]:
    return {step.name: step.state for step in progress.steps}


@pytest.mark.parametrize("script", [GPT, MSDOS], ids=["gpt", "msdos"])
async def test_a_debian_is_this_pc_afterwards(
    loop_disk: LoopDisk, tool: Tool, mount: Mount, swap: Any, tmp_path: Path, script: str
) -> None:
    gpt = script == GPT
    target = Target(loop_disk(280 * MIB, script), 2 if gpt else 1, tmp_path, tool)
    target.fill()
    own_swap = swap(f"{target.device}p{3 if gpt else 2}")
    finisher, place = await target.place()
    told = await foreseen(finisher, place, FinishSettings())
    assert [step.name for step in told] == [
        "grow", "host name", "machine id", "host keys", "fstab", "resume", "boot loader",
    ]  # fmt: skip
    assert {step.state for step in told} == {"waiting"}
    progress = JobProgress()
    await make_ready(finisher, place, FinishSettings(), Job(job_id="RestaurarImagen-1"), progress)
    assert set(states(progress).values()) == {"done"}
    assert progress.warnings == []
    tool("e2fsck", "-fn", target.node)
    root = mount(target.node)
    assert os.statvfs(root).f_blocks * os.statvfs(root).f_frsize > 180 * MIB
    assert (root / "etc/hostname").read_text() == "pc1\n"
    assert "127.0.1.1\tpc1.aula.es\tpc1\n" in (root / "etc/hosts").read_text()
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "var/lib/dbus/machine-id").readlink() == Path("/etc/machine-id")
    fstab = (root / "etc/fstab").read_text()
    assert f"UUID={target.uuid} /               ext4    errors=remount-ro 0       1\n" in fstab
    assert f"UUID={own_swap} none            swap    sw              0       0\n" in fstab
    assert "LABEL=datos /datos ext4 defaults,nofail,x-systemd.device-timeout=5s 0 2\n" in fstab
    assert (root / "etc/fstab.before-ogagent").read_text() == debian.files(target.uuid)["etc/fstab"]
    assert (root / "etc/initramfs-tools/conf.d/resume").read_text() == f"RESUME=UUID={own_swap}\n"
    for kind in ("rsa", "ecdsa", "ed25519"):
        file = root / f"etc/ssh/ssh_host_{kind}_key"
        public = tool("ssh-keygen", "-y", "-f", file)
        assert public.split()[:2] == file.with_suffix(".pub").read_text().split()[:2]
        assert file.stat().st_mode & 0o777 == 0o600
        assert "root@pc1" in file.with_suffix(".pub").read_text()
    assert (root / "boot/grub/i386-pc/core.img").exists()
    assert not list((tmp_path / "state").iterdir())


async def test_again_it_finds_nothing_to_do_but_what_nobody_can_see(
    loop_disk: LoopDisk, tool: Tool, swap: Any, tmp_path: Path
) -> None:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    target.fill()
    swap(f"{target.device}p3")
    for _ in range(2):
        finisher, place = await target.place()
        progress = JobProgress()
        await make_ready(finisher, place, FinishSettings(), Job(), progress)
    assert {name for name, state in states(progress).items() if state == "done"} == {"host keys", "boot loader"}


async def test_without_a_place_for_grub_it_says_so_and_keeps_what_was_done(
    loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    target = Target(
        loop_disk(280 * MIB, GPT.replace("21686148-6449-6E6F-744E-656564454649", "linux")), 2, tmp_path, tool
    )
    target.fill()
    finisher, place = await target.place()
    progress = JobProgress()
    with pytest.raises(FinishError, match="without a BIOS boot partition") as caught:
        await make_ready(finisher, place, FinishSettings(), Job(), progress)
    assert caught.value.der.startswith("094-")
    assert states(progress) == {"grow": "done"}


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
async def test_what_grows_while_it_is_mounted(
    loop_disk: LoopDisk, tool: Tool, mount: Mount, swap: Any, tmp_path: Path, kind: str
) -> None:
    target = Target(loop_disk(500 * MIB, LARGE), 2, tmp_path, tool)
    target.fill(kind)
    swap(f"{target.device}p3")
    finisher, place = await target.place()
    progress = JobProgress()
    await make_ready(finisher, place, FinishSettings(identity=False, boot=False, agent=False), Job(), progress)
    assert states(progress) == {"grow": "done"}
    progress = JobProgress()
    await make_ready(finisher, place, FinishSettings(boot=False), Job(), progress)
    assert {name for name, state in states(progress).items() if state != "done"} == {"grow"}
    root = mount(target.node)
    assert os.statvfs(root).f_blocks * os.statvfs(root).f_frsize > 340 * MIB  # of XFS without its log
    assert (root / "etc/hostname").read_text() == "pc1\n"


async def test_another_copy_of_the_same_btrfs_is_not_taken_for_it(
    loop_disk: LoopDisk, tool: Tool, mount: Mount, tmp_path: Path
) -> None:
    """Two file systems of one UUID: the kernel may mount the one for the other."""
    target = Target(loop_disk(500 * MIB, LARGE), 2, tmp_path, tool)
    target.fill("btrfs")
    model = loop_disk(420 * MIB)
    tool("dd", f"if={target.node}", f"of={model}", "bs=1M")
    root = mount(model)
    finisher, place = await target.place()
    before = (root / "etc/hostname").read_text()
    with suppress(FinishError):  # as long as that one is not touched
        await make_ready(finisher, place, FinishSettings(boot=False), Job(), JobProgress())
    assert (root / "etc/hostname").read_text() == before


@needs_hivex
async def test_a_windows_on_ntfs(
    loop_disk: LoopDisk, tool: Tool, mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(loop_disk(280 * MIB, MSDOS.replace("type=83", "type=7")), 1, tmp_path, tool)
    target.make("ntfs")
    root = tmp_path / "model"
    root.mkdir()
    tool("mount", "-t", "ntfs-3g", target.node, root)
    try:
        make_windows(root)
        manager = store_object(BOOT_MANAGER, 0x10100002, _11000001=msdos_device())
        loader = store_object(LOADER, 0x10200003, _11000001=msdos_device(), _21000001=msdos_device())
        make_store(root, manager + loader)
    finally:
        unmount(root)
    finisher, place = await target.place()
    progress = JobProgress()
    await make_ready(finisher, place, FinishSettings(), Job(), progress)
    assert states(progress) == {
        "grow": "done",
        "hidden sectors": "done",
        "computer name": "done",
        "boot devices, Boot/BCD": "done",
        "drive letter": "done",
        "boot code": "done",
    }
    assert is_startable(sector(target.device), grub_counts=True)
    boot = sector(target.node)
    assert int.from_bytes(boot[28:32], "little") == 2048
    assert int.from_bytes(boot[40:48], "little") == 200 * MIB // 512 - 1
    tool("ntfsresize", "--info", target.node)
    finisher, place = await target.place()
    again = JobProgress()
    await make_ready(finisher, place, FinishSettings(), Job(), again)
    assert set(states(again).values()) == {"not-needed"}


async def test_a_loader_of_another_partition_that_knows_this_one_stays(
    loop_disk: LoopDisk, tool: Tool, mount: Mount, tmp_path: Path
) -> None:
    script = "label: dos\nstart=1MiB, size=80MiB, type=83\nstart=81MiB, size=200MiB, type=83\n"
    device = loop_disk(300 * MIB, script)
    target = Target(device, 2, tmp_path, tool)
    target.fill()
    tool("mke2fs", "-q", "-t", "ext4", f"{device}p1")
    other = mount(f"{device}p1", "other")
    tool("grub-install", "--target=i386-pc", f"--boot-directory={other}/boot", "--no-floppy", device)
    (other / "boot/grub/grub.cfg").write_text(f"search --no-floppy --fs-uuid --set=root {target.uuid}\n")
    unmount(other)
    before = sector(device)
    settings = FinishSettings(grow=False, identity=False)
    finisher, place = await target.place()
    progress = JobProgress()
    await make_ready(finisher, place, settings, Job(), progress)
    assert sector(device) == before
    assert (progress.steps, len(progress.warnings)) == ([], 1)
    assert "starts by the GRUB of partition 1" in progress.warnings[0]
    await until_free(f"{device}p1")  # the kernel may give a loop device back later
    tool("mount", f"{device}p1", other)
    (other / "boot/grub/grub.cfg").write_text("search --no-floppy --fs-uuid --set=root somebody-else\n")
    unmount(other)
    progress = JobProgress()
    await make_ready(finisher, place, settings, Job(), progress)
    assert states(progress) == {"boot loader": "done"}
    assert progress.warnings == []
    await until_free(f"{device}p1")
    tool("mount", f"{device}p1", other)


async def test_what_holds_no_system_and_fills_its_partition_is_not_touched(
    loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    """Not a byte: to mount it so that it can be written to would change its superblock."""
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    tool("mke2fs", "-q", "-t", "ext4", target.node)
    before = await asyncio.to_thread(Path(target.node).read_bytes)
    finisher, place = await target.place()
    progress = JobProgress()
    await make_ready(finisher, place, FinishSettings(), Job(), progress)
    assert states(progress) == {"grow": "not-needed"}
    assert await asyncio.to_thread(Path(target.node).read_bytes) == before
