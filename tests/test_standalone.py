"""``ogagent restore`` and ``ogagent image`` as an operator calls them: real processes, a real file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.content import filled
from tests.records import record_in, without_record

MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    shutil.which("partclone.ext4", path="/usr/sbin:/usr/bin") is None, reason="partclone.ext4 is missing: partclone"
)


def ogagent(*arguments: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", *map(str, arguments)]
    return subprocess.run(
        command, input=said, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "400"}
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    filesystem, path = tmp_path / "fs.raw", tmp_path / "x.img"
    with filesystem.open("wb") as file:
        file.truncate(16 * MIB)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb"}
    tools = (
        ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(filled(tmp_path / "content")), str(filesystem)],
        ["partclone.ext4", "-c", "-s", str(filesystem), "-O", str(path), "-L", str(tmp_path / "log")],
    )
    for tool in tools:
        subprocess.run(tool, check=True, capture_output=True, env=environment)
    return path


def blank(path: Path, size: int = 16 * MIB) -> Path:
    path.write_bytes(b"\xaa" * size)
    return path


def test_restore(image: Path, tmp_path: Path) -> None:
    target = blank(tmp_path / "target.raw")
    done = ogagent("restore", image, target, "--yes")
    assert done.returncode == 0, done.stderr
    assert "flushed and read back" in done.stdout
    check = subprocess.run(["/usr/sbin/e2fsck", "-fn", str(target)], capture_output=True, check=False)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("answer", ["no\n", "\n", "y\n", ""])
def test_nothing_is_written_without_a_yes(image: Path, tmp_path: Path, answer: str) -> None:
    target = blank(tmp_path / "target.raw")
    asked = ogagent("restore", image, target, said=answer)
    assert (asked.returncode, "Everything on it will be overwritten" in asked.stdout) == (1, True)
    assert asked.stderr.startswith("ogagent: nothing was written: ")
    assert target.read_bytes() == b"\xaa" * (16 * MIB)


def test_a_name_that_means_another_one_when_the_answer_comes(image: Path, tmp_path: Path) -> None:
    link, asked, other = tmp_path / "link", blank(tmp_path / "asked.raw"), blank(tmp_path / "other.raw")
    link.symlink_to(asked)
    command = [sys.executable, "-m", "ogagent", "restore", str(image), str(link)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as restoring:
        assert restoring.stdin is not None
        assert restoring.stdout is not None
        said = b""
        while b"[yes/no]" not in said and (more := restoring.stdout.read(1)):
            said += more
        link.unlink()
        link.symlink_to(other)
        _, refused = restoring.communicate(b"yes\n")
    assert restoring.returncode == 1, refused
    assert b"it was" in refused
    assert asked.read_bytes() == other.read_bytes() == b"\xaa" * (16 * MIB)


def test_yes_is_an_answer(image: Path, tmp_path: Path) -> None:
    assert "Done" in ogagent("restore", "--no-read-back", image, blank(tmp_path / "target.raw"), said="yes\n").stdout


def test_a_target_that_is_too_small(image: Path, tmp_path: Path) -> None:
    target = blank(tmp_path / "target.raw", 16 * MIB - 4096)
    refused = ogagent("restore", image, target, "--yes")
    assert refused.returncode == 1
    assert f"The image needs 16777216 bytes, {target} has 16773120" in refused.stderr
    assert target.read_bytes() == b"\xaa" * (16 * MIB - 4096)


def test_a_window_larger_than_allowed(image: Path, tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    packed = tmp_path / "x.img.zst"
    with packed.open("wb") as out, image.open("rb") as data:
        subprocess.run(["zstd", "-q", "-1", "--ultra", "--long=28"], stdin=data, stdout=out, check=True)
    target = blank(tmp_path / "target.raw")
    for command in (("restore", packed, target, "--yes"), ("image", "info", packed), ("image", "verify", packed)):
        refused = ogagent(*command)
        assert refused.returncode == 1
        assert "256.0 MiB of memory are needed for its zstd window" in refused.stderr
        assert target.read_bytes() == b"\xaa" * (16 * MIB)
        assert ogagent(*command, "--max-window", "1").returncode == 2
        allowed = ogagent(*command, "--max-window", str(256 * MIB))
        assert allowed.returncode == 0, allowed.stderr
        blank(target)


def test_a_damaged_image_leaves_nothing_that_mounts(image: Path, tmp_path: Path) -> None:
    data = bytearray(image.read_bytes())
    data[-8000] ^= 1
    image.write_bytes(data)
    target = blank(tmp_path / "target.raw")
    refused = ogagent("restore", image, target, "--yes")
    assert refused.returncode == 1
    assert "checksum" in refused.stderr
    assert not any(without_record(target.read_bytes()[:MIB]))
    record = record_in(target.read_bytes())
    assert record is not None
    assert (record.job_id, record.image) == ("", "x.img"), "nobody waits to hear of it"


def test_image_info_and_verify(image: Path) -> None:
    assert '"format": "partclone 0002"' in ogagent("image", "info", "--json", image).stdout
    assert "good" in ogagent("image", "verify", image).stdout
    data = bytearray(image.read_bytes())
    data[-8000] ^= 1
    image.write_bytes(data)
    assert ogagent("image", "verify", image).returncode == 1


def test_what_is_no_image(tmp_path: Path) -> None:
    page = tmp_path / "x.img"
    page.write_text("<!DOCTYPE html><title>404</title>")
    refused = ogagent("image", "info", page)
    assert refused.returncode == 1
    assert "an HTML page" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_image_itself_is_no_target(image: Path, tmp_path: Path) -> None:
    before = image.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(image)
    for target in (image, link):
        refused = ogagent("restore", image, target, "--yes")
        assert refused.returncode == 1
        assert "the image itself" in refused.stderr
    assert image.read_bytes() == before


# Runs ogagent, and tells on the last line of standard error which devices, and whose descriptions, it has opened.
WATCHED = """
import sys
seen = set()
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(("/dev/", "/sys/")):
        seen.add(arguments[0])
    if event == "subprocess.Popen":
        seen.add(arguments[0])
sys.addaudithook(hook)
from ogagent.cli import main
status = main(sys.argv[1:])
print(*sorted(seen), file=sys.stderr)
sys.exit(status)
"""


def test_for_a_file_no_disk_is_looked_at(image: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WATCHED, "restore", str(image), str(blank(tmp_path / "target.raw")), "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    "source", ["http://[::1/x.img", "https://a..b/x.img", "http://h:99999/x", "ftp://h/x", "http://"]
)
def test_what_is_no_url(tmp_path: Path, source: str) -> None:
    refused = ogagent("restore", source, blank(tmp_path / "target.raw", MIB), "--yes")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("ogagent: ")


def test_names_are_shown_as_they_are(image: Path, tmp_path: Path) -> None:
    odd = image.rename(tmp_path / "[red]x[bold] :smile: [.img")
    done = ogagent("restore", odd, blank(tmp_path / "[blue] target"), "--yes")
    assert done.returncode == 0, done.stderr
    assert "[blue] target" in done.stdout
    assert odd.as_uri() in done.stdout
