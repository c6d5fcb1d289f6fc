"""What makes a Linux its own, for the layouts of five distributions: trees in memory, no file system."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from ogagent.finish.edits import Edits
from ogagent.finish.hosts import host_name, renamed_hosts
from ogagent.finish.linux import identity_steps, pinned_networks
from ogagent.finish.resume import archive
from ogagent.finish.system import system_in
from simulator.machine.file_finisher import TreeFiles
from simulator.tree import Node
from tests.finish.places import ESP, ROOT, SWAP, place
from tests.finish.trees import TREES, tree

HERE: Final = place(ROOT, SWAP, ESP)


async def made(files: TreeFiles, name: str = "pc1") -> list[str]:
    """The steps that had anything to do."""
    done = []
    for step in identity_steps(files, place(ROOT, SWAP, ESP, hostname=name)):
        if await step.needed():
            await step.do()
            await step.proof()
            done.append(step.name)
    return done


@pytest.mark.parametrize("name", TREES)
async def test_a_distribution(name: str) -> None:
    files = TreeFiles(tree(name))
    before = {path: node for path, node in files.nodes.items() if node.kind == "file"}
    assert await made(files)
    assert files.read("etc/hostname") == b"pc1\n"
    assert files.read("etc/machine-id") == b""
    assert b"modelo" not in (files.read("etc/hosts") or b"")
    assert b"of-the-model" not in (files.read("etc/fstab") or b"")
    for path, node in before.items():
        now = files.nodes[path]
        assert now.kind != "file" or (now.mode, now.uid, now.gid) == (node.mode, node.uid, node.gid), path
    again = TreeFiles(files.nodes)
    assert set(await made(again)) <= {"host keys"}


@pytest.mark.parametrize("name", TREES)
def test_its_system_is_known(name: str) -> None:
    system = system_in(TreeFiles(tree(name)), ROOT)
    assert system is not None
    assert (system.vendor, system.menu) == TREES[name]


async def test_without_a_name_the_model_s_stays() -> None:
    files = TreeFiles(tree("debian"))
    assert "host name" not in await made(files, "")
    assert files.read("etc/hostname") == b"modelo\n"


def edits_of(files: TreeFiles, name: str) -> Edits:
    (step,) = [each for each in identity_steps(files, HERE) if each.name == name]
    assert isinstance(step, Edits)
    return step


async def test_host_keys_of_the_kinds_that_were_there_and_dsa_goes() -> None:
    nodes = dict(tree("debian"))
    nodes["/etc/ssh/ssh_host_dsa_key"] = Node(kind="file", mode=0o600, content=b"old")
    nodes["/etc/ssh/ssh_host_dsa_key.pub"] = Node(kind="file", content=b"ssh-dss old")
    nodes["/etc/ssh/ssh_host_ecdsa_key.pub"] = Node(kind="file", content=b"ecdsa-sha2-nistp384 old root@modelo")
    files = TreeFiles(nodes)
    await edits_of(files, "host keys").do()
    kinds = {"rsa": rsa.RSAPrivateKey, "ecdsa": ec.EllipticCurvePrivateKey, "ed25519": ed25519.Ed25519PrivateKey}
    for kind, expected in kinds.items():
        private = load_ssh_private_key(files.read(f"etc/ssh/ssh_host_{kind}_key") or b"", None)
        public = files.read(f"etc/ssh/ssh_host_{kind}_key.pub") or b""
        assert isinstance(private, expected)
        assert not isinstance(private, dsa.DSAPrivateKey)
        assert private.public_key() == load_ssh_public_key(public)
        assert public.endswith(b" root@pc1\n")
        assert files.nodes[f"/etc/ssh/ssh_host_{kind}_key"].mode == 0o600
    ecdsa = files.read("etc/ssh/ssh_host_ecdsa_key.pub") or b""
    assert ecdsa.startswith(b"ecdsa-sha2-nistp384 ")
    assert files.read("etc/ssh/ssh_host_dsa_key") is None
    assert files.read("etc/ssh/ssh_host_dsa_key.pub") is None


async def test_a_machine_id_that_is_a_link_to_the_one_of_dbus_leads_there_still() -> None:
    nodes = dict(tree("debian"))
    nodes["/etc/machine-id"] = Node(kind="symlink", mode=0o777, target="/var/lib/dbus/machine-id")
    files = TreeFiles(nodes)
    assert "machine id" in await made(files)
    assert files.read("etc/machine-id") == b""
    assert files.link("etc/machine-id") == "/var/lib/dbus/machine-id"


async def test_a_file_that_cannot_be_one_is_no_system() -> None:
    nodes = dict(tree("debian"))
    nodes["/etc/machine-id"] = Node(kind="file", content=bytes(3 << 20))
    files = TreeFiles(nodes)
    assert "machine id" in await made(files)
    assert files.read("etc/machine-id") == b""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/netplan/50-cloud-init.yaml", "ethernets:\n  en0:\n    match:\n      macaddress: 08:00:27:4f:be:38\n"),
        ("etc/NetworkManager/system-connections/aula.nmconnection", "[ethernet]\nmac-address=08:00:27:4F:BE:38\n"),
        ("etc/systemd/network/10-en.link", "[Match]\nMACAddress=08:00:27:4f:be:38\n"),
        ("etc/udev/rules.d/70-persistent-net.rules", 'SUBSYSTEM=="net"\nATTR{address}=="08:00:27:4f:be:38"\n'),
    ],
)  # fmt: skip
def test_networks_of_the_model_are_told(path: str, text: str) -> None:
    nodes: Mapping[str, Node] = {**tree("debian"), f"/{path}": Node(kind="file", content=text.encode())}
    assert pinned_networks(TreeFiles(nodes)) == [f"/{path}"]
    assert pinned_networks(TreeFiles(tree("debian"))) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.1.1\tmodelo\n", "127.0.1.1\tpc1\n"),
        ("127.0.1.1 modelo.aula.es modelo # yo\n", "127.0.1.1 pc1.aula.es pc1 # yo\n"),
        ("192.168.2.2 modelo servidor\n", "192.168.2.2 pc1 servidor\n"),
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n127.0.1.1\tpc1\n"),
        ("127.0.0.1 localhost modelo", "127.0.0.1 localhost pc1"),
        ("# modelo\n", "# modelo\n127.0.1.1\tpc1\n"),
        ("", "127.0.1.1\tpc1\n"),
    ],
)
def test_hosts(text: str, wanted: str) -> None:
    assert renamed_hosts(text, "modelo", "pc1") == wanted
    assert renamed_hosts(wanted, "pc1", "pc1") == wanted


@pytest.mark.parametrize(
    ("text", "name"),
    [("pc1\n", "pc1"), ("pc1.aula.es", "pc1"), ("localhost", ""), ("a b", ""), ("-a", ""), ("a" * 64, ""), ("", "")],
)
def test_a_name(text: str, name: str) -> None:
    assert host_name(text) == name


def test_cpio_reads_what_is_put_behind(tmp_path: Path) -> None:
    packed = archive({"conf/conf.d/zzz-ogagent": b"RESUME=none\n"})
    command = ["cpio", "--extract", "--make-directories", "--quiet"]
    subprocess.run(command, input=packed, cwd=tmp_path, check=True)
    assert (tmp_path / "conf/conf.d/zzz-ogagent").read_bytes() == b"RESUME=none\n"
    assert len(packed) % 512 == 0


async def test_the_initramfs_looks_for_the_swap_that_is_here() -> None:
    files = TreeFiles(tree("debian"))
    old = files.read("boot/initrd.img-6.1.0-1-amd64") or b""
    await edits_of(files, "resume").do()
    new = files.read("boot/initrd.img-6.1.0-1-amd64") or b""
    assert new.startswith(old)
    assert b"RESUME=UUID=swap-uuid\n" in new[len(old) :]
    assert files.read("etc/initramfs-tools/conf.d/resume") == b"RESUME=UUID=swap-uuid\n"
    assert not await edits_of(files, "resume").needed()
