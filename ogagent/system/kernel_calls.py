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

_FSOPEN: Final = 430
_FSCONFIG: Final = 431
_FSMOUNT: Final = 432
_OPENAT2: Final = 437

_CLOEXEC: Final = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6  # enum fsconfig_command, linux/mount.h
_DETACH: Final = 2  # MNT_DETACH
_WORDS: Final = 4096

RESOLVE_NO_MAGICLINKS: Final = 0x02  # linux/openat2.h
RESOLVE_IN_ROOT: Final = 0x10

READ_ONLY: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x10
"""MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC and NOATIME, linux/mount.h."""


RESTART: Final = 0x01234567  # LINUX_REBOOT_CMD_RESTART and so on, linux/reboot.h
POWER_OFF: Final = 0x4321FEDC
KEXEC: Final = 0x45584543


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    return _call(path, _OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def mount_detached(driver: str, device: str, options: tuple[str, ...], attributes: int) -> int:
    """A directory of a file system that is mounted nowhere: it is gone with the last descriptor of anything in it."""
    context = _call(driver, _FSOPEN, driver.encode(), _CLOEXEC)
    try:
        _call(device, _FSCONFIG, context, _SET_STRING, b"source", os.fsencode(device), 0)
        for option in options:
            name, _, value = option.partition("=")
            command, text = (_SET_STRING, value.encode()) if value else (_SET_FLAG, None)
            _call(option, _FSCONFIG, context, command, name.encode(), text, 0)
        _call(device, _FSCONFIG, context, _CREATE, None, None, 0)
        mounted = _call(device, _FSMOUNT, context, _CLOEXEC, attributes)
    except OSError as error:
        raise OSError(error.errno, _reason(context) or error.strerror, device) from None
    finally:
        os.close(context)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    finally:
        os.close(mounted)


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
