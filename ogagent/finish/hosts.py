"""The name of a system: ``/etc/hostname`` and ``/etc/hosts``, hostname(5) and hosts(5)."""

from __future__ import annotations

import re
from typing import Final

from ogagent.model.host_name import is_host_name

_OWN_ADDRESS: Final = "127.0.1.1"
_LOCAL: Final = ("localhost", "ip6-localhost", "ip6-loopback")


def host_name(text: str) -> str:
    """The first label of what somebody calls a machine; empty when that is no name."""
    label = text.strip().partition(".")[0]
    return label if is_host_name(label) and label.lower() not in _LOCAL else ""


def renamed_hosts(text: str, old: str, new: str) -> str:
    """Names of the model, with their domains, become those of this machine; without any a line is added, for programs
    that look up their own name would wait for a server.
    """
    lines = [_line(line, old, new) for line in text.splitlines(keepends=True)]
    if any(new in _names(line) for line in lines):
        return "".join(lines)
    end = "" if not lines or lines[-1].endswith("\n") else "\n"
    return f"{''.join(lines)}{end}{_OWN_ADDRESS}\t{new}\n"


def _line(line: str, old: str, new: str) -> str:
    entry, sign, comment = line.partition("#")
    address, names = entry.split()[:1], _names(line)
    if not names or not address:
        return line
    own = address[0] == _OWN_ADDRESS
    for name in names:
        short = name.partition(".")[0]
        if name not in _LOCAL and (own or (old and short.lower() == old.lower())):
            entry = re.sub(rf"(?<=\s){re.escape(name)}(?=\s|$)", new + name[len(short) :], entry)
    return f"{entry}{sign}{comment}"


def _names(line: str) -> list[str]:
    return line.partition("#")[0].split()[1:]
