"""Somebody's account on this machine, and what a program needs that runs as hers."""

from __future__ import annotations

import os
import pwd

from msgspec import Struct


class Account(Struct, frozen=True, kw_only=True):
    """``display`` is that of X11, where her session has one."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    display: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Her bus lies where her systemd has put it: pam_systemd(8)."""
        runtime = f"/run/user/{self.uid}"
        own = {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "XDG_RUNTIME_DIR": runtime,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
        }
        return own | {"DISPLAY": self.display} if self.display else own


def account_of(uid: int, display: str = "") -> Account:
    """Blocking: names may come from the network. Raises KeyError for a number that nobody has."""
    entry = pwd.getpwuid(uid)
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(uid=uid, gid=entry.pw_gid, groups=groups, name=entry.pw_name, home=entry.pw_dir, display=display)
