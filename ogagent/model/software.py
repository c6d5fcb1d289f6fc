"""What is installed in a system."""

from __future__ import annotations

from msgspec import Struct


class Package(Struct, frozen=True, order=True):
    name: str
    version: str = ""


class Software(Struct, frozen=True, kw_only=True):
    """``system``: its name and version for people, empty where none was found. ``packages`` are sorted, each is there
    once. ``notes`` say, for people, what is missing here.
    """

    system: str = ""
    packages: tuple[Package, ...] = ()
    notes: tuple[str, ...] = ()


def software_text(software: Software) -> str:
    """As OpenGnsys has it (``sft``): the system, then a line a package."""
    lines = (f"{package.name} {package.version}".strip() for package in software.packages)
    return "\n".join((software.system, *lines))
