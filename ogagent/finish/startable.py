"""What keeps a Linux from starting, or lets another one start in its place, and no step of ours puts right."""

from __future__ import annotations

from ogagent.errors import NotReady
from ogagent.finish.files import Files
from ogagent.finish.fstab import names_another
from ogagent.finish.place import Place
from ogagent.finish.system import System
from ogagent.power.grub import default_kernel


def refuse_twin(place: Place) -> None:
    """Raises NotReady when whoever looks for this file system may find another one."""
    own = place.volume
    twin = next((each for each in place.volumes if own.uuid and each.uuid == own.uuid and each != own), None)
    if twin is not None:
        raise NotReady(
            f"{twin.target.name} holds the same file system as {place.target.name} (UUID {own.uuid}): "
            "either of them may start",
            hint="empty that one; for two systems of one model, give one a UUID of its own there and capture it again",
        )


def refuse_other_root(place: Place, files: Files, system: System) -> None:
    """Raises NotReady when its menu gives the kernel a root that is not here. Blocking; raises OSError, TooLarge."""
    kernel = default_kernel(files, system.menu) if system.menu else None
    words = kernel.command_line.split() if kernel else []
    roots = [word.removeprefix("root=") for word in words if word.startswith("root=")]
    if roots and names_another(roots[-1], place.volume):
        raise NotReady(
            f"{system.name} would look for its root on {roots[-1]}, which is not {place.target.name}",
            hint="in the model: no GRUB_DISABLE_LINUX_UUID and no GRUB_FORCE_PARTUUID in /etc/default/grub, "
            "update-grub, and capture it again",
        )
