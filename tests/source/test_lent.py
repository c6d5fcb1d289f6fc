"""An image that is not whole is lent to somebody else, and comes back, also to an agent without every right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ogagent.source.image_shelf import ImageShelf
from ogagent.source.ranges import Ranges

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")

OTHER: Final = 65_519
SIZE: Final = 100_000
VERSION: Final = "0123456789abcdef"
IMAGES: Final = "opt/opengnsys/images"
PART: Final = f"x.img.{VERSION}.partial"

# What the unit leaves the agent: no right to what belongs to others.
RIGHTS: Final = "-all,+sys_admin,+chown,+setuid,+setgid,+kill"
SCRIPT: Final = f"""
import os, subprocess, sys
from pathlib import Path
from ogagent.source.image_shelf import ImageShelf
os.umask(0o077)
root, how = Path(sys.argv[1]), sys.argv[2]
shelf = ImageShelf(root, "x", evict=True)
kept = shelf.partial("{VERSION}", {SIZE}, 10)
print(kept.there.total, flush=True)
shelf.write(kept, [(0, b"a" * 1000)])
folder = shelf.lend(kept, "name", {SIZE}, {OTHER}, {OTHER})
assert os.stat("name", dir_fd=folder).st_size == {SIZE}  # how far an engine is shows by the length
engine = "mkdir -pm 0700 /proc/self/fd/%d/evil/deep; printf bbb | dd of=/proc/self/fd/%d/name bs=1 seek=1000"
subprocess.run(["sh", "-c", engine % (folder, folder) + " conv=notrunc"], user={OTHER}, group={OTHER}, check=True,
               extra_groups=[], pass_fds=[folder], stderr=subprocess.DEVNULL)
shelf.write(kept, [(2000, b"c" * 1000)])
if how == "killed":
    os._exit(0)
shelf.take_back(kept, folder)
kept.there.add(1000, 1003)
shelf.close()
"""


def lend(root: Path, how: str) -> int:
    """Answers how much of it was there before."""
    command = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS, sys.executable, "-c", SCRIPT, str(root), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_it_comes_back(tmp_path: Path) -> None:
    assert lend(tmp_path, "well") == 0
    assert sorted(each.name for each in (tmp_path / IMAGES).iterdir()) == [PART, f"{PART}.map"]
    content = (tmp_path / IMAGES / PART).read_bytes()
    assert (content[:1003], content[2000:3000], len(content)) == (b"a" * 1000 + b"bbb", b"c" * 1000, SIZE)
    assert (tmp_path / IMAGES / PART).stat().st_uid == 0
    assert lend(tmp_path, "well") == 2003


def test_after_a_kill(tmp_path: Path) -> None:
    lend(tmp_path, "killed")
    assert (tmp_path / IMAGES / PART).stat().st_uid == OTHER
    assert (tmp_path / IMAGES / f"{PART}.lent").is_dir()
    assert lend(tmp_path, "well") == 2000
    assert sorted(each.name for each in (tmp_path / IMAGES).iterdir()) == [PART, f"{PART}.map"]


def test_what_another_version_has_left_goes_with_all_its_names(tmp_path: Path) -> None:
    lend(tmp_path, "killed")
    shelf = ImageShelf(tmp_path, "x", evict=True)
    assert shelf.partial("f" * 16, SIZE, 10) is not None
    shelf.close()
    assert not [each for each in (tmp_path / IMAGES).iterdir() if VERSION in each.name]


def test_of_two_who_keep_the_same_image_the_second_one_disturbs_nothing(tmp_path: Path) -> None:
    first, second = ImageShelf(tmp_path, "x", evict=True), ImageShelf(tmp_path, "x", evict=True)
    kept = first.partial(VERSION, SIZE, 10)
    assert kept is not None
    folder = first.lend(kept, "name", SIZE, OTHER, OTHER)
    assert second.partial(VERSION, SIZE, 10) is None
    assert (tmp_path / IMAGES / f"{PART}.lent" / "name").stat().st_uid == OTHER
    first.take_back(kept, folder)
    first.close()
    second.close()


def test_what_somebody_has_allowed_is_over_when_it_comes_back(tmp_path: Path) -> None:
    """As the owner he was, everybody else might write to what is an image then."""
    shelf = ImageShelf(tmp_path, "x", evict=True)
    kept = shelf.partial(VERSION, SIZE, 10)
    assert kept is not None
    folder = shelf.lend(kept, "name", SIZE, OTHER, OTHER)
    (tmp_path / IMAGES / PART).chmod(0o777)
    shelf.take_back(kept, folder)
    assert (tmp_path / IMAGES / PART).stat().st_mode & 0o777 == 0o644
    shelf.close()


def test_what_a_kill_has_left_open_is_closed_with_the_name(tmp_path: Path) -> None:
    lend(tmp_path, "killed")
    (tmp_path / IMAGES / PART).chmod(0o666)
    shelf = ImageShelf(tmp_path, "x", evict=True)
    kept = shelf.partial(VERSION, SIZE, 10)
    assert kept is not None
    shelf.publish(kept, {})
    status = (tmp_path / IMAGES / "x.img").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o644)
    shelf.close()


def test_what_somebody_has_cut_off_is_as_long_as_before(tmp_path: Path) -> None:
    shelf = ImageShelf(tmp_path, "x", evict=True)
    kept = shelf.partial(VERSION, SIZE, 10)
    assert kept is not None
    shelf.write(kept, [(0, b"a" * 1000)])
    folder = shelf.lend(kept, "name", SIZE, OTHER, OTHER)
    os.truncate(tmp_path / IMAGES / PART, 10)
    shelf.take_back(kept, folder)
    assert (tmp_path / IMAGES / PART).stat().st_size == SIZE
    assert isinstance(kept.there, Ranges)
    shelf.close()
