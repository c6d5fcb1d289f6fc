"""Linux systems, read from their trees alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from ogagent.model.software import Package, Software, software_text
from ogagent.software.dpkg import parse_status
from ogagent.software.found import Unreadable
from ogagent.software.inventory import software_here
from ogagent.software.rpm import parse_database, parse_header
from tests.software.systems import STATUS, debian, put

FAR_S = 300
NAME = "Debian GNU/Linux 12 (bookworm)"
PACKAGES = (Package("bash", "5.2.15-2+b7"), Package("zlib1g", "1:1.2.13.dfsg-1"))


async def test_debian(tmp_path: Path) -> None:
    found = await software_here(debian(tmp_path))
    assert found == Software(system=NAME, packages=PACKAGES)
    assert software_text(found) == f"{NAME}\nbash 5.2.15-2+b7\nzlib1g 1:1.2.13.dfsg-1"


async def test_all_that_can_be_beside_each_other(tmp_path: Path) -> None:
    debian(tmp_path)
    put(tmp_path, "var/lib/dpkg/status.d/piece", "Package: piece\nVersion: 3\n")
    put(tmp_path, "var/lib/dpkg/status.d/piece.md5sums", "Package: wrong\nVersion: 3\n")
    put(tmp_path, "var/lib/pacman/local/vim-9.1-1/desc", "%NAME%\nvim\n\n%VERSION%\n9.1-1\n\n%DESC%\n%NAME%\n")
    for snap in ("firefox_999", "firefox_3836", "code_x1", "tool_key_7", "nothing"):
        put(tmp_path, f"var/lib/snapd/snaps/{snap}.snap")
    about = "var/lib/flatpak/app/org.gimp.GIMP/x86_64/stable/abc/files/share/metainfo/org.gimp.GIMP.metainfo.xml"
    put(tmp_path, about, '<component><releases>\n<release date="2024-05-05" version="2.10.38"/><release version="2"/>')
    (tmp_path / "var/lib/flatpak/app/org.gimp.GIMP/current").symlink_to("x86_64/stable")
    (tmp_path / "var/lib/flatpak/app/org.gimp.GIMP/x86_64/stable/active").symlink_to("abc")
    (tmp_path / "var/lib/flatpak/app/org.other.App").mkdir()
    found = await software_here(tmp_path)
    assert software_text(found).splitlines()[1:] == [
        "bash 5.2.15-2+b7",
        "code x1",
        "firefox 3836",
        "org.gimp.GIMP 2.10.38",
        "org.other.App",
        "piece 3",
        "tool_key 7",
        "vim 9.1-1",
        "zlib1g 1:1.2.13.dfsg-1",
    ]
    assert found.notes == ()


@pytest.mark.parametrize("subvolume", ["@", "root", "@rootfs"])
async def test_a_root_in_a_subvolume(tmp_path: Path, subvolume: str) -> None:
    (tmp_path / subvolume).mkdir()
    debian(tmp_path / subvolume)
    assert (await software_here(tmp_path)).packages == PACKAGES


async def test_an_absolute_link_means_what_it_means_to_that_system(tmp_path: Path) -> None:
    debian(tmp_path)
    (tmp_path / "etc/os-release").unlink()
    (tmp_path / "etc/os-release").symlink_to("/usr/share/other")
    put(tmp_path, "usr/share/other", "PRETTY_NAME=Other\n")
    assert (await software_here(tmp_path)).system == "Other"


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../../../../../..{outside}", "/proc/self/fd/0"])
async def test_no_link_leads_out(tmp_path: Path, target: str) -> None:
    outside = put(tmp_path, "outside/status", STATUS)
    (tmp_path / "root").mkdir()
    root = debian(tmp_path / "root")
    (root / "var/lib/dpkg/status").unlink()
    (root / "var/lib/dpkg/status").symlink_to(target.format(outside=outside))
    assert await software_here(root) == Software(system=NAME)


async def test_no_directory_that_is_a_link_leads_out(tmp_path: Path) -> None:
    put(tmp_path, "outside/dpkg/status", STATUS)
    (tmp_path / "root").mkdir()
    root = debian(tmp_path / "root")
    shutil.rmtree(root / "var/lib")
    (root / "var/lib").symlink_to(tmp_path / "outside")
    assert (await software_here(root)).packages == ()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def ring(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("stranger", [fifo, folder, ring, device])
async def test_what_is_no_file_is_not_opened(tmp_path: Path, stranger: Any) -> None:
    debian(tmp_path)
    (tmp_path / "var/lib/dpkg/status").unlink()
    stranger(tmp_path / "var/lib/dpkg/status")
    assert await software_here(tmp_path) == Software(system=NAME)
    for thread in threading.enumerate():
        if thread.name == "aside":
            thread.join(FAR_S)
            assert not thread.is_alive()


async def test_a_device_is_not_opened(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("making a device needs root")
    debian(tmp_path)
    (tmp_path / "var/lib/dpkg/status").unlink()
    os.mknod(tmp_path / "var/lib/dpkg/status", 0o20666, os.makedev(1, 5))
    assert await software_here(tmp_path) == Software(system=NAME)


async def test_what_is_too_large_costs_no_more_than_itself(tmp_path: Path) -> None:
    debian(tmp_path)
    put(tmp_path, "var/lib/pacman/local/vim-9.1-1/desc", "%NAME%\nvim\n\n%VERSION%\n9.1-1\n")
    os.truncate(tmp_path / "var/lib/dpkg/status", 10 << 30)
    found = await software_here(tmp_path)
    assert found.packages == (Package("vim", "9.1-1"),)
    assert found.notes == ("/var/lib/dpkg/status has more than 33554432 bytes",)


async def test_a_directory_without_an_end(tmp_path: Path) -> None:
    debian(tmp_path)
    snaps = tmp_path / "var/lib/snapd/snaps"
    snaps.mkdir(parents=True)
    for number in range(50_001):
        os.close(os.open(snaps / f"a_{number}.snap", os.O_CREAT))
    found = await software_here(tmp_path)
    assert found.packages == PACKAGES
    assert found.notes == ("/var/lib/snapd/snaps has more than 50000 entries",)


async def test_more_packages_than_anybody_has(tmp_path: Path) -> None:
    one = "Package: p{0}\nStatus: install ok installed\nVersion: {0}\n\n"
    debian(tmp_path, "".join(one.format(number) for number in range(20_001)))
    found = await software_here(tmp_path)
    assert len(found.packages) == 20_000
    assert found.notes == ("dpkg: there are more packages than 20000",)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"\xff\xfe", b":\n:\n", b"Package", b"Package:\nStatus: installed\n"]
)
def test_what_says_nothing(content: bytes) -> None:
    assert list(parse_status(content, assumed="installed")) == []


def test_text_is_fit_to_be_shown() -> None:
    (found,) = parse_status(b"Package: a\x1b[31m\r\xff" + b"x" * 5000 + b"\nStatus: installed\nVersion: 1\n2\n")
    assert found.name.startswith("a?[31m")
    assert len(found.name) <= 128
    assert found.version == "1"


async def test_no_system(tmp_path: Path) -> None:
    assert await software_here(tmp_path) == Software(notes=("no system was found",))


# --- rpm ----------------------------------------------------------------------------------------------------------


SPEC = """\
Name: {name}
Version: {version}
Release: 1
{more}
Summary: nothing
License: none
BuildArch: noarch
%description
%files
"""


@pytest.fixture
def rpm_root(tmp_path: Path) -> Path:
    if shutil.which("rpmbuild") is None:
        pytest.skip("rpmbuild is not installed")
    root = tmp_path / "root"
    put(root, "etc/os-release", 'PRETTY_NAME="Fedora Linux 40"\n')
    place = root / "usr/lib/sysimage/rpm"
    place.mkdir(parents=True)
    for name, version, more in (("bash", "5.2", ""), ("vim", "9.1", "Epoch: 2")):
        spec = put(tmp_path, f"{name}.spec", SPEC.format(name=name, version=version, more=more))
        build = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}/build", str(spec)]
        subprocess.run(build, check=True, capture_output=True)
    packages = list((tmp_path / "build/RPMS").rglob("*.rpm"))
    install = ["rpm", "--dbpath", str(place), "--define", "_db_backend sqlite", "-i", "--nodeps", "--justdb"]
    subprocess.run([*install, *packages], check=True, capture_output=True)
    return root


RPMS = (Package("bash", "5.2-1"), Package("vim", "2:9.1-1"))


async def test_fedora(rpm_root: Path) -> None:
    assert await software_here(rpm_root) == Software(system="Fedora Linux 40", packages=RPMS)


async def test_the_older_place_is_a_link(rpm_root: Path) -> None:
    (rpm_root / "var/lib").mkdir(parents=True)
    (rpm_root / "usr/lib/sysimage/rpm").rename(rpm_root / "usr/lib/rpm")
    (rpm_root / "var/lib/rpm").symlink_to("../../usr/lib/rpm")
    assert (await software_here(rpm_root)).packages == RPMS


@pytest.mark.parametrize(("file", "kind"), [("Packages", "Berkeley DB"), ("Packages.db", "ndb")])
async def test_older_forms_are_named(tmp_path: Path, file: str, kind: str) -> None:
    put(tmp_path, "etc/os-release", "NAME=CentOS\nVERSION=7\n")
    put(tmp_path, f"var/lib/rpm/{file}")
    found = await software_here(tmp_path)
    assert (found.system, found.packages) == ("CentOS 7", ())
    assert kind in found.notes[0]


def database(path: Path, script: str) -> bytes:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return path.read_bytes()


HOSTILE = {
    "view": "CREATE VIEW Packages AS SELECT 1 AS hnum, x'00' AS blob",
    "other": "CREATE TABLE Other(a)",
    "column": "CREATE TABLE Packages(hnum)",
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_a_database_that_is_none_of_rpm(tmp_path: Path, script: str) -> None:
    with pytest.raises(Unreadable):
        list(parse_database(database(tmp_path / "db", script)))


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_damaged_database(content: bytes) -> None:
    with pytest.raises(Unreadable):
        list(parse_database(content))


def test_a_database_that_never_ends_is_left(tmp_path: Path) -> None:
    rows = "INSERT INTO Packages(a) SELECT 1 FROM (VALUES (1), (2)), pragma_function_list, pragma_function_list AS f"
    content = database(tmp_path / "db", f"CREATE TABLE Packages(a, blob AS (hex(zeroblob(100000)))); {rows}")

    def stop() -> None:
        raise RuntimeError

    with pytest.raises(Unreadable, match="interrupted"):
        list(parse_database(content, stop))


@pytest.mark.parametrize(
    "header",
    [b"", b"\0" * 8, b"\xff" * 8, b"\0\0\0\1" + b"\0" * 20, b"\0\0\0\1\0\0\0\0" + b"\xff" * 16, b"\xff" * 1000],
)
def test_a_damaged_header(header: bytes) -> None:
    assert parse_header(header) is None
