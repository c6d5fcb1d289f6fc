"""One PC: a QEMU process without KVM, its disks and its network card, what it prints and what it reports."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from tests.machine.monitor import Monitor

Bus = Literal["virtio", "nvme"]
Firmware = Literal["bios", "uefi"]

PATIENCE_S: Final = 900.0
"""For one event. A guest that is this late has stopped: the measure is the event, never the time."""
_LOOK_S: Final = 0.1
_GIVEN_UP: Final = re.compile(
    r"No bootable device|grub(?: rescue)?>|No bootable option|EFI Internal Shell|Kernel panic|\(initramfs\)"
    r"|Failed to start ogagent|No more network devices"
)
_OVMF: Final = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_OVMF_VARIABLES: Final = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


class Drive(Struct, frozen=True):
    """``volatile``: what is written goes with the process. The file stays as it is."""

    file: Path
    serial: str
    bus: Bus = "virtio"
    volatile: bool = False


class Kernel(Struct, frozen=True):
    """Started by QEMU itself, with no boot loader."""

    image: Path
    initrd: Path
    command_line: str


class Hardware(Struct, frozen=True, kw_only=True):
    """``tap``: the network card's other end. ``folder`` keeps what the PC keeps without disks, and its logs.

    ``network_first``: its firmware looks there for something to start, before it looks at its disks.
    """

    name: str
    folder: Path
    firmware: Firmware
    drives: tuple[Drive, ...]
    mac: str
    tap: str
    network_first: bool = False


class Stopped(Exception):
    """The PC is off, and was not to be."""


class PC:
    """``console`` and ``report`` are the files that hold what came out of its two serial ports; what is written to
    ``keyboard`` comes into the first one.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        name: str,
        keyboard: asyncio.WriteTransport,
        console: Path,
        report: Path,
    ) -> None:
        self._process = process
        self.name = name
        self.monitor = Monitor(process)
        self._keyboard = keyboard
        self._console = console
        self._report = report

    async def says(self, pattern: str, count: int = 1) -> None:
        """Waits until that many lines on the console match."""
        await self.until(lambda: self.count(pattern) >= count, pattern)

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, line) is not None for line in self.printed())

    def types(self, text: str) -> None:
        """On the console."""
        self._keyboard.write(text.encode())

    async def reported(self) -> str:
        """All that the system says of itself, once it has come to an end with starting."""
        await self.until(lambda: _text(self._report).endswith("end\t.\n"), "its report")
        return _text(self._report)

    def printed(self) -> list[str]:
        return _text(self._console).splitlines()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    if why := self._given_up():
                        raise Stopped(why)
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise Stopped(f"{what} has not come; last was: {self._last()}") from None

    def cut(self) -> None:
        """The power goes."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def switches_off(self) -> None:
        """Waits until it has done so by itself."""
        await self.until(lambda: self._process.returncode == 0, "its end")

    async def off(self) -> None:
        await self._process.wait()

    def _given_up(self) -> str:
        """Whoever waits for a person to press a key waits for ever."""
        if (found := next(filter(_GIVEN_UP.search, self.printed()), None)) is not None:
            return found.strip()
        return "" if self._process.returncode is None else f"it is off; last was: {self._last()}"

    def _last(self) -> str:
        return next((line.strip() for line in reversed(self.printed()) if line.strip()), "nothing")


@asynccontextmanager
async def switched_on(hardware: Hardware, kernel: Kernel | None = None) -> AsyncIterator[PC]:
    """From its disks, when there is no ``kernel``. It is off when the block ends, and when this process ends."""
    hardware.folder.mkdir(exist_ok=True)
    start = len(list(hardware.folder.glob("console-*.log"))) + 1
    logs = hardware.folder / f"console-{start}.log", hardware.folder / f"report-{start}.log"
    for log in logs:
        log.touch()
    async with _serial_line() as (keyboard, line):
        process = await asyncio.create_subprocess_exec(
            "setpriv",
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            *_arguments(hardware, kernel, line.fileno(), logs),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[line.fileno()],
        )
        pc = PC(process, hardware.name, keyboard, *logs)
        try:
            yield pc
        finally:
            pc.cut()
            await pc.off()


@asynccontextmanager
async def _serial_line() -> AsyncIterator[tuple[asyncio.WriteTransport, socket.socket]]:
    """Our end and QEMU's. What comes out at ours is passed over: QEMU keeps it in a file."""
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    try:
        with theirs:
            yield transport, theirs
    finally:
        transport.close()


def _arguments(hardware: Hardware, kernel: Kernel | None, line: int, logs: Sequence[Path]) -> list[str]:
    """One core: kernels that change their own code while another core runs it panic in an emulator now and then."""
    words = ["-name", hardware.name, "-machine", "q35,graphics=off", "-accel", "tcg,tb-size=512"]
    words += ["-cpu", "Nehalem"]  # programs find no wide vectors, which an emulator has to take apart: a third faster
    words += ["-icount", "shift=1"]  # its clock goes by what it has done: on a busy machine it is not late for itself
    words += ["-smp", "1", "-m", "768", "-display", "none", "-nodefaults", "-no-reboot", "-qmp", "stdio"]
    console, report = logs
    words += ["-chardev", f"socket,id=console,fd={line},logfile={console}", "-serial", "chardev:console"]
    words += ["-serial", f"file:{report}"]
    words += ["-device", "virtio-rng-pci,addr=0x2"]
    words += ["-netdev", f"tap,id=net,ifname={hardware.tap},script=no,downscript=no"]
    first = ",bootindex=0" if hardware.network_first else ""
    words += ["-device", f"virtio-net-pci,netdev=net,mac={hardware.mac},addr=0x3,romfile={first}"]
    for number, drive in enumerate(hardware.drives):
        words += _drive(drive, number, "" if kernel else f",bootindex={1 + number}")
    if hardware.firmware == "uefi":
        words += _flash(hardware.folder)
    if kernel is not None:
        words += ["-kernel", f"{kernel.image}", "-initrd", f"{kernel.initrd}", "-append", kernel.command_line]
    return words


def _drive(drive: Drive, number: int, boot: str) -> Sequence[str]:
    """With cache=unsafe nothing is flushed to the disk of this machine, which outlives the PC."""
    snapshot = "on" if drive.volatile else "off"
    back = f"file={drive.file},if=none,id=drive{number},format=raw,cache=unsafe,discard=unmap,snapshot={snapshot}"
    model = "virtio-blk-pci" if drive.bus == "virtio" else "nvme"
    at = f"addr={4 + number:#x}{boot}"
    return ["-drive", back, "-device", f"{model},drive=drive{number},serial={drive.serial},{at}"]


def _flash(folder: Path) -> Sequence[str]:
    """The firmware's variables are the PC's own, and stay when it is off."""
    variables = folder / "variables.fd"
    if not variables.exists():
        shutil.copy(_OVMF_VARIABLES, variables)
    code = f"if=pflash,format=raw,readonly=on,file={_OVMF}"
    return ["-drive", code, "-drive", f"if=pflash,format=raw,file={variables}"]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
