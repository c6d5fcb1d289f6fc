"""System calls that neither Python nor every C library has; their numbers are the same on all architectures that came
with them (linux/include/uapi/asm-generic/unistd.h). Blocking; everything raises OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from functools import cache
from typing import Any, Final

_MOVE_MOUNT: Final = 429
_FSOPEN: Final = 430
_FSCONFIG: Final = 431
_FSMOUNT: Final = 432
_OPENAT2: Final = 437

_CLOEXEC: Final = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6  # enum fsconfig_command, linux/mount.h
_DETACH: Final = 2  # MNT_DETACH
_OF_DESCRIPTOR: Final = 0x04  # MOVE_MOUNT_F_EMPTY_PATH, linux/mount.h
_HERE: Final = -100  # AT_FDCWD
_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS, linux/sched.h
_PRIVATE_BELOW: Final = (1 << 18) | (1 << 14)  # MS_PRIVATE and MS_REC, linux/mount.h
_WORDS: Final = 4096
_UNSURE: Final = 1000
"""Times that the same is asked again, each of which takes some microseconds."""

RESOLVE_NO_XDEV: Final = 0x01  # linux/openat2.h
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_IN_ROOT: Final = 0x10

READ_ONLY: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10
"""MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC and NOATIME, linux/mount.h."""
HARMLESS: Final = 0x02 | 0x04 | 0x08 | 0x200000
"""MOUNT_ATTR_NOSUID, NODEV, NOEXEC and NOSYMFOLLOW, the last from Linux 5.14 on."""


RESTART: Final = 0x01234567  # LINUX_REBOOT_CMD_RESTART and so on, linux/reboot.h
POWER_OFF: Final = 0x4321FEDC
KEXEC: Final = 0x45584543


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """While anything is renamed or mounted anywhere on the machine, the kernel may not be sure that a path stays
    inside, and wants to be asked again (EAGAIN): openat2(2).
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    for _ in range(_UNSURE):
        with suppress(BlockingIOError):
            return _call(path, _OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    return _call(path, _OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def mount_detached(driver: str, device: str, options: tuple[str, ...], attributes: int) -> int:
    """A directory of a file system that is mounted nowhere: it is gone with the last descriptor of anything in it."""
    mounted = _mounted(driver, device, options, attributes)
    try:
        return _root(mounted)
    finally:
        os.close(mounted)


def mount_at(driver: str, device: str, options: tuple[str, ...], attributes: int, place: str) -> int:
    """The root directory of a file system that is mounted at ``place``."""
    mounted = _mounted(driver, device, options, attributes)
    try:
        _call(place, _MOVE_MOUNT, mounted, b"", _HERE, os.fsencode(place), _OF_DESCRIPTOR)
        return _root(mounted)
    finally:
        os.close(mounted)


def _root(mounted: int) -> int:
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)


def _mounted(driver: str, device: str, options: tuple[str, ...], attributes: int) -> int:
    context = _call(driver, _FSOPEN, driver.encode(), _CLOEXEC)
    try:
        _call(device, _FSCONFIG, context, _SET_STRING, b"source", os.fsencode(device), 0)
        for option in options:
            name, _, value = option.partition("=")
            command, text = (_SET_STRING, value.encode()) if value else (_SET_FLAG, None)
            _call(option, _FSCONFIG, context, command, name.encode(), text, 0)
        _call(device, _FSCONFIG, context, _CREATE, None, None, 0)
        return _call(device, _FSMOUNT, context, _CLOEXEC, attributes)
    except OSError as error:
        raise OSError(error.errno, _reason(context) or error.strerror, device) from None
    finally:
        os.close(context)


def own_mounts() -> None:
    """From now on the thread has a view of the mounts of its own: what it mounts nobody else sees."""
    if _library().unshare(_NEW_MOUNTS) < 0 or _library().mount(b"none", b"/", None, _PRIVATE_BELOW, None) < 0:
        raise _failure("a view of the mounts of its own")


def unmount(mount_point: str) -> None:
    """Returns when all that was written is on the medium. Fails when it is in use."""
    if _library().umount2(os.fsencode(mount_point), 0) < 0:
        raise _failure(mount_point)


def detach(mount_point: str) -> None:
    """Nobody finds it any more; it is gone with the last descriptor of anything in it."""
    if _library().umount2(os.fsencode(mount_point), _DETACH) < 0:
        raise _failure(mount_point)


def reboot(command: int) -> None:
    """At once, without a word to anybody: what is not on the disks is lost. Does not return."""
    if _library().reboot(ctypes.c_int(command)) < 0:
        raise _failure("")


def _reason(context: int) -> str:
    """The last thing that the file system has to say; ``e ext4: …`` is an error, mount_api.rst."""
    said = ""
    with suppress(OSError):  # ENODATA at the end
        while line := os.read(context, _WORDS):
            said = line.decode(errors="replace").strip().removeprefix("e ")
    return said


def _call(subject: str, number: int, *arguments: Any) -> int:
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = _library().syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise _failure(subject)
    return result


def _failure(subject: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number) if number != errno.ENOSYS else "the kernel is too old", subject)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
