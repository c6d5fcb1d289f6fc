"""What of the agent's state outlives a restart of the machine. Blocking, but for what is asked of the disks before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ogagent.check.finding import Finding, ok, warning
from ogagent.model.disk import Inventory
from ogagent.model.plan import cache_place
from ogagent.settings_state import StateSettings

_WHAT: Final = "state.dir"
_IN_MEMORY: Final = ("tmpfs", "ramfs", "rootfs")
_MOUNTS: Final = Path("/proc/self/mountinfo")


def state_directory(place: Path, mounts: Path = _MOUNTS) -> Finding:
    """On what it lies: what is in memory is gone with a restart."""
    kind, in_memory = _lies_on(place, mounts)
    if in_memory:
        said = f"{place} lies in memory ({kind}): a restart of the machine forgets jobs and certificate"
        return warning(_WHAT, said, 'say state.dir = "cache", and the CACHE keeps what ogCore waits for')
    return ok(_WHAT, f"{place}, on {kind or 'an unknown file system'}")


def state_on_cache(settings: StateSettings, inventory: Inventory, mounts: Path = _MOUNTS) -> Finding:
    """Of an ogLive with ``on_cache``: a CACHE keeps what matters, wherever the directory lies."""
    cache = cache_place(inventory)
    kind, in_memory = _lies_on(settings.place, mounts)
    lies = f"{settings.place} lies in memory ({kind})" if in_memory else f"{settings.place} lies on a disk"
    if cache is not None:
        kept = f"the CACHE ({cache.device}) keeps jobs, reports that ogCore has not taken, and the numbers of the disks"
        return ok(_WHAT, f"{lies}; {kept}")
    said = f"no disk has a CACHE to keep jobs and reports on; {lies}"
    return warning(_WHAT, said, "partition a disk with one: it is used from then on") if in_memory else ok(_WHAT, said)


def _lies_on(place: Path, mounts: Path) -> tuple[str, bool]:
    """The kind of file system, and whether that is in memory."""
    kind, options = _file_system(place, mounts)
    upper = options.get("upperdir")
    if kind == "overlay" and upper:
        kind, _ = _file_system(Path(upper), mounts)
    # An overlay whose upper layer is not to be seen: a live system's.
    return kind, kind in _IN_MEMORY or kind == "overlay"


def _file_system(place: Path, mounts: Path) -> tuple[str, dict[str, str]]:
    """Kind and options of what is mounted there or, the nearest, above: proc(5). The last that is mounted counts."""
    found, longest = ("", dict[str, str]()), -1
    real = place.resolve()
    for line in mounts.read_text("utf-8", "replace").splitlines():
        fields, _, source = line.partition(" - ")
        point = Path(fields.split()[4].replace("\\040", " "))
        kind, _, options = source.split(" ", 2)
        if real.is_relative_to(point) and len(point.parts) >= longest:
            pairs = (option.partition("=") for option in options.split(","))
            found, longest = (kind, {name: value for name, _, value in pairs}), len(point.parts)
    return found
