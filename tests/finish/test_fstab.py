"""``/etc/fstab`` on another machine: each line as a person would have written it for this one."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.finish.fstab import rewritten
from ogagent.finish.place import Place, Volume
from tests.finish.places import ESP, OTHER, ROOT, SWAP, place, target

NOFAIL: Final = "nofail,x-systemd.device-timeout=5s"
EVERYTHING: Final = place(ROOT, SWAP, ESP, OTHER)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("UUID=root-uuid / ext4 errors=remount-ro 0 1", "UUID=root-uuid / ext4 errors=remount-ro 0 1"),
        ("/dev/sda1 / ext4 defaults 0 1", "UUID=root-uuid / ext4 defaults 0 1"),
        ("PARTUUID=01234567-01 / ext4 defaults 0 1", "UUID=root-uuid / ext4 defaults 0 1"),
        ("/dev/disk/by-uuid/root-uuid / ext4 defaults 0 1", "/dev/disk/by-uuid/root-uuid / ext4 defaults 0 1"),
        ("/dev/disk/by-id/ata-of-the-model-part1 / ext4 defaults 0 1", "UUID=root-uuid / ext4 defaults 0 1"),
        ("UUID=of-the-model none swap sw 0 0", "UUID=swap-uuid none swap sw 0 0"),
        ("/dev/sda5 none swap sw 0 0", "UUID=swap-uuid none swap sw 0 0"),
        ("UUID=swap-uuid none swap sw 0 0", "UUID=swap-uuid none swap sw 0 0"),
        ("UUID=AAAA-BBBB /boot/efi vfat umask=0077 0 1", "UUID=C0DE-C0DE /boot/efi vfat umask=0077 0 1"),
        ("UUID=c0de-c0de /boot/efi vfat umask=0077 0 1", "UUID=c0de-c0de /boot/efi vfat umask=0077 0 1"),
        ('UUID="other-uuid" /home ext4 defaults 0 2', 'UUID="other-uuid" /home ext4 defaults 0 2'),
        ("LABEL=otros /home ext4 defaults 0 2", "LABEL=otros /home ext4 defaults 0 2"),
        ("UUID=nowhere /datos ext4 defaults 0 2", f"UUID=nowhere /datos ext4 defaults,{NOFAIL} 0 2"),
        ("/dev/sdb1 /datos ext4 defaults,nofail 0 2", "/dev/sdb1 /datos ext4 defaults,nofail,"
         "x-systemd.device-timeout=5s 0 2"),
        ("/dev/mapper/vg-d\t/datos\text4\tnoatime\t0\t2", f"/dev/mapper/vg-d\t/datos\text4\tnoatime,{NOFAIL}\t0\t2"),
        ("UUID=nowhere /datos ext4", f"UUID=nowhere /datos ext4 defaults,{NOFAIL}"),
        ("tmpfs /tmp tmpfs defaults 0 0", "tmpfs /tmp tmpfs defaults 0 0"),
        ("/swapfile none swap sw 0 0", "/swapfile none swap sw 0 0"),
        ("servidor:/home /home nfs defaults 0 0", "servidor:/home /home nfs defaults 0 0"),
        ("# UUID=nowhere /datos ext4 defaults 0 2", "# UUID=nowhere /datos ext4 defaults 0 2"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_line(line: str, wanted: str) -> None:
    assert rewritten(f"# a comment\n{line}\n\n", EVERYTHING) == f"# a comment\n{wanted}\n\n"


@pytest.mark.parametrize("spec", ["/dev/sda2", "/dev/disk/by-id/ata-of-the-model-part2", "PARTUUID=of-the-model"])
def test_subvolumes_come_with_the_root(spec: str) -> None:
    text = "{0} / btrfs subvol=@ 0 0\n{0} /home btrfs subvol=@home 0 0\n/dev/sdb1 /datos btrfs defaults 0 0\n"
    wanted = text.format("UUID=root-uuid").replace("defaults", f"defaults,{NOFAIL}")
    assert rewritten(text.format(spec), EVERYTHING) == wanted


def test_a_machine_without_swap_and_esp_waits_for_neither() -> None:
    text = "UUID=of-the-model none swap sw 0 0\nUUID=AAAA-BBBB /boot/efi vfat umask=0077 0 1\n"
    assert rewritten(text, place(ROOT)) == (
        f"UUID=of-the-model none swap sw,{NOFAIL} 0 0\nUUID=AAAA-BBBB /boot/efi vfat umask=0077,{NOFAIL} 0 1\n"
    )


def test_swap_of_the_same_disk_comes_first() -> None:
    far = Volume(target=target(1, "disk-a"), filesystem="swap", uuid="far")
    near = Volume(target=target(2, "disk-b"), filesystem="swap", uuid="near")
    own = Volume(target=target(1, "disk-b"), filesystem="ext4", uuid="root-uuid")
    found = Place(volume=own, table="gpt", volumes=(far, own, near))
    assert rewritten("UUID=x none swap sw 0 0\n", found) == "UUID=near none swap sw 0 0\n"


@given(st.text(max_size=400))
def test_twice_is_as_once(text: str) -> None:
    once = rewritten(text, EVERYTHING)
    assert rewritten(once, EVERYTHING) == once
    assert once.count("\n") == text.count("\n")
