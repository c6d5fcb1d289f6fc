"""What would not start, or not be the one that starts, is not called ready."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.errors import NotReady
from ogagent.finish.hook import Job
from ogagent.finish.place import Place
from ogagent.finish.plan import Site, steps_of
from ogagent.finish.startable import refuse_other_root, refuse_twin
from ogagent.finish.system import System
from ogagent.settings import FinishSettings
from simulator.machine.file_finisher import TreeFiles
from simulator.tree import Node
from tests.finish.folder_machine import Fate, FolderMachine
from tests.finish.places import ESP, OTHER, ROOT, SWAP, place
from tests.finish.trees import tree

DEBIAN: Final = System(name="Debian 12", vendor="debian", menu="boot/grub")
HERE: Final = place(ROOT, SWAP, ESP, OTHER)


def menu(root: str) -> TreeFiles:
    entry = f"menuentry 'Debian' {{\n linux /boot/vmlinuz {root} ro quiet\n initrd /boot/initrd.img\n}}\n"
    return TreeFiles({"/boot/grub/grub.cfg": Node(kind="file", content=entry.encode())})


def test_two_of_one_model() -> None:
    twin = replace(OTHER, uuid=ROOT.uuid)
    with pytest.raises(NotReady, match=r"partition 5 of disk 1 holds the same file system as partition 2 of disk 1"):
        refuse_twin(place(ROOT, twin))


def test_what_has_no_uuid_is_nobody_s_twin() -> None:
    refuse_twin(HERE)
    nameless = replace(ROOT, uuid="")
    refuse_twin(replace(HERE, volume=nameless, volumes=(nameless, replace(OTHER, uuid=""))))


@pytest.mark.parametrize(
    "root", ["PARTUUID=of-the-model", "/dev/sda5", "UUID=other-uuid", "LABEL=otros", "/dev/mapper/a"]
)
def test_a_root_that_is_not_here(root: str) -> None:
    with pytest.raises(NotReady, match=f"its root on {root}, which is not partition 2 of disk 1"):
        refuse_other_root(HERE, menu(f"root={root}"), DEBIAN)


@pytest.mark.parametrize(
    "root",
    [
        "root=UUID=root-uuid",
        "root=PARTUUID=part-2",
        "root=/dev/sda2",
        "root=/dev/disk/by-uuid/ROOT-UUID",
        "",
        "root=live:x",
    ],
)
def test_a_root_that_is_here_or_that_nobody_names(root: str) -> None:
    refuse_other_root(HERE, menu(root), DEBIAN)


def test_a_menu_that_is_not_understood_refuses_nobody() -> None:
    refuse_other_root(HERE, TreeFiles({}), DEBIAN)
    refuse_other_root(HERE, TreeFiles({}), replace(DEBIAN, menu=""))


TWINS: Final = place(ROOT, ESP, replace(OTHER, uuid=ROOT.uuid), uefi=True)


@pytest.mark.parametrize(
    ("at", "root", "says"),
    [
        (TWINS, "root=UUID=root-uuid", "either of them may start"),
        (HERE, "root=/dev/sda9", "would look for its root on"),
    ],
)
async def test_such_a_system_gets_no_boot_loader(tmp_path: Path, at: Place, root: str, says: str) -> None:
    files = TreeFiles({**tree("debian"), **menu(root).nodes})
    site = Site(place=at, files=files, folder=tmp_path, look=FolderMachine(tmp_path, {}, Fate()).look)
    with pytest.raises(NotReady, match=says):
        await steps_of(site, FinishSettings(), Job(), lambda _: None)
    assert await steps_of(site, FinishSettings(boot=False), Job(), lambda _: None)
