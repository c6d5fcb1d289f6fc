"""The fault matrix of what makes a partition ready: every operation on a file fails, or is the agent's last one.

The rule: the job says that it is not ready and names the step; each file is the old one or the new one, whole; and the
next attempt, which goes by what the books have kept, ends as an undisturbed one does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import FinishError
from ogagent.finish.finish import make_ready
from ogagent.finish.hook import Job
from ogagent.model.progress import JobProgress, NoBooks
from ogagent.settings import FinishSettings
from tests.finish.folder_machine import Fate, FolderMachine, Killed, broken, no_room
from tests.finish.places import ESP, ROOT, SWAP, place
from tests.finish.trees import tree
from tests.power.fake_firmware import FakeFirmware

HERE: Final = place(ROOT, SWAP, ESP, uefi=True)
NETWORK: Final = "BootOrder: 0000\nBoot0000* UEFI PXEv4\tPciRoot(0x0)/MAC(525400123456,1)"
OTHER: Final = f"{NETWORK}\nBoot0009* Other\tHD(1,GPT,part-1,0x800,0x8000)/File(\\EFI\\other.efi)"
KEYS: Final = "etc/ssh/ssh_host_"
"""New each time."""
Content = dict[str, tuple[str, bytes]]


class Books(NoBooks):
    def __init__(self) -> None:
        self.note = b""

    def noting(self, note: bytes) -> None:
        self.note = note


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian, its keys of one kind that costs nothing."""
    FakeFirmware.installed(tmp_path, monkeypatch, OTHER)
    root = tmp_path / "model"
    nodes = dict(tree("debian"))
    for kind in ("rsa", "ecdsa"):
        del nodes[f"/etc/ssh/ssh_host_{kind}_key"], nodes[f"/etc/ssh/ssh_host_{kind}_key.pub"]
    for path, node in sorted(nodes.items()):
        at = root / path.lstrip("/")
        if node.kind == "directory":
            at.mkdir(parents=True, exist_ok=True)
        elif node.kind == "symlink":
            at.symlink_to(node.target)
        else:
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(node.content)
    for path in ("usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(path.encode())
    return root


class Pc:
    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.root, self.esp = folder / "root", folder / "esp"
        shutil.copytree(model, self.root, symlinks=True)
        self.esp.mkdir()
        self.books = Books()

    async def finish(self, fate: Fate) -> JobProgress:
        roots = {ROOT.target.device: self.root, ESP.target.device: self.esp}
        progress = JobProgress(books=self.books)
        machine = FolderMachine(self.folder, roots, fate)
        await make_ready(machine, HERE, FinishSettings(), Job(), progress, self.books.note)
        return progress

    def content(self) -> Content:
        found: Content = {}
        for top in (self.root, self.esp):
            for path in top.rglob("*"):
                name = f"{top.name}/{path.relative_to(top)}"
                if path.is_symlink():
                    found[name] = ("link", str(path.readlink()).encode())
                elif path.is_file():
                    found[name] = ("file", path.read_bytes())
        return found


def settled(content: Content) -> Content:
    return {name: ("file", b"") if KEYS in name else each for name, each in content.items()}


@pytest.mark.parametrize("what", [Killed, broken, no_room], ids=["killed", "EIO", "ENOSPC"])
async def test_at_every_operation(
    model: Path, tmp_path: Path, what: Callable[[], BaseException], figures: Callable[[str], None]
) -> None:
    (tmp_path / "whole").mkdir()
    undisturbed = Pc(tmp_path / "whole", model)
    before, fate = undisturbed.content(), Fate()
    assert {step.state for step in (await undisturbed.finish(fate)).steps} == {"done"}
    after, operations = undisturbed.content(), fate.seen
    assert operations > 60
    for at in range(operations):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        pc = Pc(folder, model)
        with pytest.raises((Killed, FinishError)) as caught:
            await pc.finish(Fate(at, what))
        if isinstance(caught.value, FinishError):
            assert caught.value.number == 94
        for name, found in pc.content().items():
            if KEYS not in name and not name.endswith(".ogagent-new"):
                assert found in (before.get(name), after.get(name)), (at, name)
        await pc.finish(Fate())
        assert settled(pc.content()) == settled(after), at
        for name in ("root/etc/ssh/ssh_host_ed25519_key", "root/etc/ssh/ssh_host_ed25519_key.pub"):
            assert pc.content()[name] not in (before[name], after[name]), at
        shutil.rmtree(folder)
    figures(f"making ready, {what.__name__}: {operations} operations, 0 violations")
