"""What kernel, firmware and clock of this machine can do for the agent. Blocking."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import ogagent
from ogagent.check.finding import Finding, ok, problem, warning
from ogagent.system import clock, kernel_calls

CLOCK: Final = "clock"
_EFI: Final = Path("/sys/firmware/efi")
_NEWEST_LACKING: Final = "the kernel is too old: Linux 5.6 or later is needed"


def machine() -> Iterator[Finding]:
    """What everybody needs; the rest is an ogLive's."""
    yield ok("agent", f"{ogagent.__version__}, {Path(ogagent.__file__).parent}")
    yield ok("Python", f"{platform.python_version()}, {os.path.realpath('/proc/self/exe')}")
    reason = clock.doubt(datetime.now(UTC), clock.built(Path(ogagent.__file__).parent))
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield problem(CLOCK, reason, "set it: date -s, or an NTP server") if reason else ok(CLOCK, now)
    yield _tried("openat2", _openat2, "paths are kept inside a partition", _NEWEST_LACKING)


def oglive() -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield problem("user", "not root: neither disks nor mounts can be used", "run it as root")
        return
    yield _tried(
        "mounts", _own_mounts, "a view of the mounts for one thread alone", "look at the unit, or the container"
    )
    yield _node("/dev/loop-control", "partitions are looked into through loop devices", "modprobe loop")
    yield _node("/dev/fuse", "NTFS is changed by a program of its own", "modprobe fuse")
    yield _zeroing()
    yield _firmware()


def disk(device: str) -> Finding:
    return _tried(device, partial(_direct, device), "direct access (O_DIRECT)", "look at the kernel log (dmesg)")


def _tried(what: str, attempt: Callable[[], object], purpose: str, hint: str) -> Finding:
    try:
        attempt()
    except OSError as error:
        return problem(what, f"{error.strerror or error}: {purpose}", hint)
    return ok(what, purpose)


def _openat2() -> None:
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(kernel_calls.openat2(root, ".", os.O_RDONLY | os.O_DIRECTORY, kernel_calls.RESOLVE_IN_ROOT))
    finally:
        os.close(root)


def _own_mounts() -> None:
    """In a thread, which has it to its end."""
    errors: list[OSError] = []

    def attempt() -> None:
        try:
            kernel_calls.own_mounts()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _direct(disk: str) -> None:
    os.close(os.open(disk, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))


def _node(path: str, purpose: str, hint: str) -> Finding:
    if Path(path).exists():
        return ok(path, purpose)
    return warning(path, f"is not there: {purpose}", hint)


def _zeroing() -> Finding:
    """BLKZEROOUT came with Linux 3.7; to try it would be to write."""
    return ok("kernel", f"{platform.release()}, with BLKZEROOUT: partitions are wiped by it")


def _firmware() -> Finding:
    if not _EFI.exists():
        return ok("firmware", "BIOS, or UEFI that has started the machine as one")
    variables = _EFI / "efivars"
    if not any(variables.glob("Boot*")):
        said = "UEFI, whose variables are not to be seen: no boot entry can be read or made"
        return warning("firmware", said, f"mount -t efivarfs efivarfs {variables}")
    return ok("firmware", "UEFI")
