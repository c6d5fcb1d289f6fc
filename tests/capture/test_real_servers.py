"""Captures into nginx and Apache: what they answer is not what a book says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from ogagent.capture.store import UploadBroken
from ogagent.errors import RepositoryFull, RepositoryUnreachable
from simulator.ext4 import fill, make_filesystem
from simulator.tree import linux_tree
from tests.capture.dav_server import MIB, for_ever, opened, pieces, policy
from tests.capture.real_servers import TOKEN, Repository, apache, nginx
from tests.simulator.repository_writer import until

UUID: Final = "01936caf-facb-72ad-9446-97e7dbf2b96a"
WHOLE: Final = {f"base.img{suffix}" for suffix in ("", ".full.sum", ".index", ".info", ".sum")}
PART: Final = ".base.img.CrearImagen-1a2b3c4d.part"


@pytest.fixture(scope="module", params=[nginx, apache], ids=["nginx", "apache"])
def repository(request: pytest.FixtureRequest) -> Iterator[Repository]:
    with request.param() as repository:
        yield repository


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "model"
    file.touch()
    os.truncate(file, 64 * MIB)
    make_filesystem(file, 64 * MIB, uuid=UUID, label="")
    fill(file, linux_tree(UUID))
    return file


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    (tmp_path / "credential").write_text(f"{TOKEN}\n", encoding="ascii")
    return tmp_path / "credential"


@pytest.fixture(autouse=True)
async def goodbyes() -> AsyncIterator[None]:
    """Over TLS one that is closed waits for the other's goodbye, and so does its loop: what is open when that is closed
    is an error of a later test, whenever it is collected.
    """
    yield
    transports: Mapping[int, Any] = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    await until(lambda: all(each._sock is None for each in list(transports.values())))


def ogagent(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "ogagent", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", ["", "Room-1_b.2/"])
def test_a_capture_and_the_next_one(repository: Repository, model: Path, credential: Path, folder: str) -> None:
    """Both are whole, and nothing else is there."""
    target = f"{repository.url}/{folder}base.img"
    image = repository.images / folder / "base.img"
    options = ("--ca", repository.ca, "--credential", credential, "--level", "1", "--threads", "2")
    before = repository.left
    assert "read back and proven" in ogagent("capture", model, target, *options)
    assert repository.left - before == {f"{folder}{name}" for name in WHOLE}
    first = image.read_bytes()
    ogagent("image", "verify", image)
    ogagent("capture", model, target, *options)
    previous = {name.replace(".img", ".img.ant") for name in WHOLE}
    assert repository.left - before == {f"{folder}{name}" for name in WHOLE | previous}
    assert (image.parent / "base.img.ant").read_bytes() == first
    ogagent("image", "verify", image)
    assert image.stat().st_mode & 0o444 == 0o444, "everybody may read it"


async def test_a_renamed_file_is_known(repository: Repository, credential: Path) -> None:
    """Apache's tag is weak for a second, and no longer."""
    async with opened(f"{repository.url}/x.img", policy(repository.ca, credential)) as store:
        await store.stream(PART, pieces(b"image"))
        before = await store.look(PART)
        assert before is not None
        await store.move(PART, "x.img")
        assert await store.look("x.img") == before
        await asyncio.sleep(1.1)
        assert await store.look("x.img") == before
        await store.copy("x.img", "x.img.ant")
        assert await store.read("x.img.ant", 100) == b"image"
        await store.put("x.img", b"other")
        await store.move("x.img.ant", "x.img")
        assert await store.read("x.img", 100) == b"image"
        assert await store.look("x.img.ant") is None
        await store.remove("x.img")
        await store.remove("x.img")


async def test_what_is_not_there(repository: Repository, credential: Path) -> None:
    async with opened(f"{repository.url}/nowhere/x.img", policy(repository.ca, credential)) as store:
        assert await store.room() is None
        assert await store.look("x.img.lock") is None
        assert await store.read("x.img.lock", 100) is None
        await store.remove("x.img")
        with pytest.raises(RepositoryUnreachable, match="no such"):
            await store.move("x.img", "y.img")


@pytest.mark.parametrize("shown", ["", TOKEN.lower(), TOKEN[:-1]])
async def test_one_who_may_not(repository: Repository, tmp_path: Path, shown: str) -> None:
    (tmp_path / "wrong").write_text(shown, encoding="ascii")
    how = policy(repository.ca, tmp_path / "wrong" if shown else "")
    async with opened(f"{repository.url}/z.img", how) as store:
        assert await store.look("z.img") is None, "everybody may read"
        for call in (
            store.put("z.img", b""),
            store.stream("z.img", pieces(bytes(MIB))),
            store.move("z.img", "y.img"),
            store.copy("z.img", "y.img"),
            store.remove("z.img"),
        ):
            with pytest.raises(RepositoryUnreachable, match=r"who is there|does not allow") as failure:
                await call
            assert "capture.credential_file" in failure.value.hint
    assert not {name for name in repository.left if "z.img" in name}


async def test_a_cancelled_upload_leaves_nothing(repository: Repository, credential: Path) -> None:
    async with opened(f"{repository.url}/x.img", policy(repository.ca, credential)) as store:
        before = repository.left
        upload = asyncio.create_task(store.stream(PART, for_ever()))
        await until(lambda: any(size > MIB for name, size in repository.sizes.items() if name not in before))
        assert not (repository.images / PART).exists(), "it has no name before its end"
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    await until(lambda: repository.left == before)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_its_disk_is_full(repository: Repository, credential: Path) -> None:
    """nginx says 500 then, which might pass; Apache takes all of it, and says so at its end."""
    how = policy(repository.ca, credential)
    with small(repository.images), small(repository.root / "uploads"):
        async with opened(f"{repository.url}/x.img", how) as store:
            with pytest.raises((RepositoryFull, UploadBroken), match=r"no room|disk is full"):
                await store.stream(PART, pieces(bytes(16 * MIB)))
            await until(lambda: not repository.left)


@contextmanager
def small(path: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "none", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)
