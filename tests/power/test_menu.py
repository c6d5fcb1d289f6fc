"""Menus as grub-mkconfig of Debian, Ubuntu and Fedora writes them: what starts when nobody chooses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.power.grub import Kernel, default_kernel
from ogagent.power.menu import default_entry, environment_block, parse_menu
from ogagent.system.tree import Tree

MENUS = Path(__file__).parent / "menus"
UUID = "7b0c1f3e-5d2a-4f19-9f0e-3c1d2b4a5e6f"
FOLDERS = {"debian-12": "boot/grub", "ubuntu-24.04": "boot/grub", "fedora-40": "boot/grub2"}
MACHINE = "0649288e52434223afde4c36460a375e"

Started = Callable[..., Kernel | None]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """What the menu of that name starts, with what GRUB has kept and the files of entries."""

    def start(name: str, kept: str = "", **entries: str) -> Kernel | None:
        folder = tmp_path / FOLDERS[name]
        folder.mkdir(parents=True)
        (folder / "grub.cfg").write_text((MENUS / f"{name}.cfg").read_text("utf-8"), encoding="utf-8")
        if kept:
            (folder / "grubenv").write_text(f"# GRUB Environment Block\n{kept}\n".ljust(1024, "#"))
        (tmp_path / "boot/loader/entries").mkdir(parents=True)
        for title, text in entries.items():
            (tmp_path / "boot/loader/entries" / f"{MACHINE}-{title}.conf").write_text(text)
        return default_kernel(tree, FOLDERS[name])

    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    tree = Tree(root)
    yield start
    tree.close()


def kernel(version: str, options: str, uuid: str = UUID) -> Kernel:
    return Kernel(
        linux=f"/boot/vmlinuz-{version}", initrd=f"/boot/initrd.img-{version}", command_line=options, uuid=uuid
    )


def fedora(version: str, options: str) -> str:
    return (
        f"title Fedora Linux ({version}) 40 (Workstation Edition)\nversion {version}\nlinux /boot/vmlinuz-{version}\n"
        f"initrd /boot/initramfs-{version}.img $tuned_initrd\noptions {options}\ngrub_users $grub_users\n"
        "grub_arg --unrestricted\ngrub_class fedora\n"
    )


def test_debian_starts_the_first(started: Started) -> None:
    assert started("debian-12") == kernel("6.1.0-25-amd64", f"root=UUID={UUID} ro quiet")


def test_what_was_chosen_for_one_start_alone_does_not_count(started: Started) -> None:
    assert started("debian-12", "next_entry=2") == kernel("6.1.0-25-amd64", f"root=UUID={UUID} ro quiet")


@pytest.mark.parametrize(
    ("kept", "version", "options"),
    [
        ("", "6.8.0-45-generic", "ro quiet splash"),
        ("saved_entry=0", "6.8.0-45-generic", "ro quiet splash"),
        ("saved_entry=1>2", "6.8.0-31-generic", "ro quiet splash"),
        ("saved_entry=1", "6.8.0-45-generic", "ro quiet splash"),
        ("saved_entry=Opciones avanzadas para Ubuntu>Ubuntu, con Linux 6.8.0-31-generic", "6.8.0-31-generic", ""),
        (
            f"saved_entry=gnulinux-advanced-{UUID}>gnulinux-6.8.0-45-generic-recovery-{UUID}",
            "6.8.0-45-generic",
            "ro single",
        ),
        ("saved_entry=gone", "6.8.0-45-generic", "ro quiet splash"),
        ("saved_entry=99", "6.8.0-45-generic", "ro quiet splash"),
    ],
)
def test_ubuntu_starts_what_it_remembers(started: Started, kept: str, version: str, options: str) -> None:
    assert started("ubuntu-24.04", kept) == kernel(version, f"root=UUID={UUID} {options or 'ro quiet splash'}")


def test_another_system_of_the_menu_is_no_linux(started: Started) -> None:
    assert started("ubuntu-24.04", "saved_entry=osprober-chain-01D9A2B3C4D5E6F7") is None


@pytest.mark.parametrize("kept", ["", f"saved_entry={MACHINE}-6.11.9-100.fc40.x86_64", "saved_entry=0"])
def test_fedora_starts_its_newest(started: Started, kept: str) -> None:
    entries = {
        "6.8.5-301.fc40.x86_64": fedora("6.8.5-301.fc40.x86_64", "$kernelopts"),
        "6.11.9-100.fc40.x86_64": fedora("6.11.9-100.fc40.x86_64", "$kernelopts $tuned_params"),
        "0-rescue": fedora("0-rescue", "root=UUID=x"),
    }
    found = started("fedora-40", kept, **entries)
    assert found == Kernel(
        linux="/boot/vmlinuz-6.11.9-100.fc40.x86_64",
        initrd="/boot/initramfs-6.11.9-100.fc40.x86_64.img",
        command_line=f"root=UUID={UUID} ro rhgb quiet",
    )


def test_fedora_starts_what_it_remembers_with_the_options_that_it_keeps(started: Started) -> None:
    entries = {
        "6.8.5-301.fc40.x86_64": fedora("6.8.5-301.fc40.x86_64", "$kernelopts"),
        "6.11.9-100.fc40.x86_64": fedora("6.11.9-100.fc40.x86_64", "$kernelopts"),
    }
    kept = f"saved_entry={MACHINE}-6.8.5-301.fc40.x86_64\nkernelopts=root=/dev/sda2 ro"
    found = started("fedora-40", kept, **entries)
    assert found is not None
    assert (found.linux, found.command_line) == ("/boot/vmlinuz-6.8.5-301.fc40.x86_64", "root=/dev/sda2 ro")


def test_without_entries_nothing_starts(started: Started) -> None:
    assert started("fedora-40") is None


@pytest.mark.parametrize(
    "text",
    [
        "menuentry 'x' { linux /a\x07b ; initrd /i; }",
        "menuentry 'x' { linux a ; initrd /i; }",
        "menuentry 'x' { linux /a root=\x1b ; initrd /i; }",
        "menuentry 'x' { linux /a; }",
        f"menuentry 'x' {{ linux /a {'o' * 2048}; initrd /i; }}",
        "",
    ],
)
def test_what_is_not_understood_is_not_started(tmp_path: Path, text: str) -> None:
    (tmp_path / "grub.cfg").write_text(text)
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert default_kernel(Tree(root), ".") is None
    finally:
        os.close(root)


def test_one_line_and_quotes_are_as_good() -> None:
    menu = parse_menu(
        "menuentry \"a 'b'\" --id=x --id y { linux /v 'one two' \"$a\"'$a' \\$ ; initrd /u /i; }", {"a": "1"}
    )
    entry = default_entry(menu)
    assert entry is not None
    assert (entry.title, entry.id, entry.options, entry.initrd) == ("a 'b'", "y", "one two 1$a $", "/i")


def test_the_environment_block() -> None:
    assert environment_block("# GRUB Environment Block\na=b=c\nempty=\n#####") == {"a": "b=c", "empty": ""}


@given(st.text(st.sampled_from("menuntrysbl{}'\"\\$; #\n=>0set default")))
def test_whatever_it_says_is_read_to_its_end(text: str) -> None:
    default_entry(parse_menu(text, {}))


@pytest.mark.parametrize("piece", [" ", '"', "'", "\\", '\\"', "{", "menuentry x {\n", "submenu x {\n", "$", "${"])
def test_no_text_takes_long(piece: str) -> None:
    """A million of anything; what took its square would not end."""
    default_entry(parse_menu(piece * (1_000_000 // len(piece)), {}))
