"""A Linux becomes a system of its own: with its name, its machine id, its host keys, and what this machine has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ogagent.finish.edits import Edits
from ogagent.finish.files import Edit, Files
from ogagent.finish.fstab import rewritten
from ogagent.finish.host_keys import kinds_in, new_host_keys
from ogagent.finish.hosts import host_name, renamed_hosts
from ogagent.finish.place import Place
from ogagent.finish.resume import resume_edits
from ogagent.finish.step import Step

_HOSTNAME: Final = "etc/hostname"
_HOSTS: Final = "etc/hosts"
_MACHINE_ID: Final = "etc/machine-id"
_DBUS_ID: Final = "var/lib/dbus/machine-id"
_FSTAB: Final = "etc/fstab"
_FSTAB_BEFORE: Final = "etc/fstab.before-ogagent"
_MAC: Final = re.compile(r"^\s*[\"']?(?:mac-?address|ATTR\{address\})[\"']?\s*[=:]", re.IGNORECASE | re.MULTILINE)
_NETWORK: Final = (
    "etc/netplan",
    "etc/NetworkManager/system-connections",
    "etc/systemd/network",
    "etc/udev/rules.d",
    "etc/sysconfig/network-scripts",
)
_MOST_FILES: Final = 200


def identity_steps(files: Files, place: Place) -> Iterator[Step]:
    """By what is in the files now."""
    if place.hostname:
        yield Edits(files, "host name", f"it is called {place.hostname}", list(_name(files, place.hostname)))
    yield Edits(files, "machine id", "it gets one of its own when it starts", list(_machine_id(files)))
    if kinds := kinds_in(files):
        owner = place.hostname or host_name(_text(files, _HOSTNAME)) or "localhost"
        yield Edits(files, "host keys", f"new SSH host keys: {', '.join(kinds)}", list(new_host_keys(files, owner)))
    yield Edits(files, "fstab", "what it mounts is on this machine, or may be missing", list(_fstab(files, place)))
    yield Edits(files, "resume", _resuming(place), list(resume_edits(files, place)))


def pinned_networks(files: Files) -> list[str]:
    """Files that go by the model's network card."""
    paths = [f"{folder}/{name}" for folder in _NETWORK for name in files.names(folder)[:_MOST_FILES]]
    return [f"/{path}" for path in paths if _MAC.search(_text(files, path))]


def _name(files: Files, name: str) -> Iterable[Edit]:
    old = host_name(_text(files, _HOSTNAME))
    yield Edit(path=_HOSTNAME, content=f"{name}\n".encode())
    hosts = files.read(_HOSTS)
    if hosts is not None:
        text = hosts.decode("utf-8", "surrogateescape")
        yield Edit(path=_HOSTS, content=renamed_hosts(text, old, name).encode("utf-8", "surrogateescape"))


def _machine_id(files: Files) -> Iterable[Edit]:
    """Empty it is made at the next start, and kept: machine-id(5), "Initialization". Where it is a link itself, to that
    of D-Bus perhaps, what it leads to is emptied.
    """
    yield Edit(path=_MACHINE_ID, content=b"", mode=0o444)
    if files.link(_DBUS_ID) is None and files.link(_MACHINE_ID) is None and files.names("var/lib/dbus"):
        yield Edit(path=_DBUS_ID, to="/etc/machine-id")


def _fstab(files: Files, place: Place) -> Iterable[Edit]:
    old = files.read(_FSTAB)
    if old is None:
        return
    new = rewritten(old.decode("utf-8", "surrogateescape"), place).encode("utf-8", "surrogateescape")
    if new != old:
        yield Edit(path=_FSTAB_BEFORE, content=old)
        yield Edit(path=_FSTAB, content=new)


def _resuming(place: Place) -> str:
    return f"it resumes from {place.swap.target.device}" if place.swap else "it does not look for what is not here"


def _text(files: Files, path: str) -> str:
    return (files.read(path) or b"").decode("utf-8", "replace")
