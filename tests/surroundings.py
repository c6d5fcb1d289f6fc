"""What a run of the tests must not depend on: it is put right once, before anything else."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import Final

_CLONE_NEWNS: Final = 0x00020000  # linux/sched.h
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PRIVATE_BELOW: Final = (1 << 18) | (1 << 14)  # MS_PRIVATE and MS_REC, linux/mount.h
_SIOCSIFFLAGS: Final = 0x8914  # linux/sockios.h
_IFF_UP: Final = 1  # linux/if.h
_CAPABILITY_VERSION_3: Final = 0x20080522  # linux/capability.h


def ignored_signals() -> list[int]:
    """As it was inherited; what every Python ignores, it does not hand on."""
    inherited = signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
    return sorted(int(number) for number in inherited if signal.getsignal(number) is signal.SIG_IGN)


def be_deaf(numbers: Collection[int]) -> None:
    """To these signals; but what the tests start shall hear them, and a handler ends where a program begins."""
    for number in numbers:
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _nothing(_number: int, _frame: FrameType | None) -> None: ...


def forget_variables() -> None:
    """Proxies, and what changes the Python of the programs that are tested."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("PYTHON"):
            del os.environ[name]


def forget_umask() -> None:
    """Whoever started the run may want his files to himself; what is made here counts on others being let in."""
    os.umask(0o022)


def leave_network() -> None:
    """For a loopback of the run's own, where that may be had: the computer room's addresses are fixed, and somebody may
    have one open. Users who are not root get it in a user namespace in which they may do nothing that they could not do
    before.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        if libc.unshare(_CLONE_NEWNET) == 0:
            _bring_up_loopback()
    elif libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="utf-8")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="utf-8")
        _bring_up_loopback()
        libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def leave_mounts() -> None:
    """For a view of the run's own, where that may be had: whoever makes a view of the mounts holds all that it finds
    there, and a device of one test would be busy for as long as a program of another one works in its view.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, _PRIVATE_BELOW, None):
        raise OSError(ctypes.get_errno(), "the mounts are still those of others")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
