"""The package in a fresh system that has all it should have: ``ogagent check`` has nothing to complain about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from simulator.certificates import Authority
from tests.machine.debian import devices
from tests.machine.disks import attached
from tests.machine.tools import run
from tests.package.system import System

MIB = 1 << 20
HERE = "127.0.0.1"


async def test_a_machine_with_a_cache_and_an_ogcore(debian: System, deb: Path, tmp_path: Path) -> None:
    """Nothing is wrong. What no package of the system brings is named, each with how it is had."""
    debian.install(deb)
    authority = Authority(tmp_path / "ca")
    with disk_with_cache(tmp_path / "disk") as disk, devices(debian.root, disk, f"{disk}p1"):
        async with ogcore(authority) as url:
            configure(debian, authority, disk, url)
            text = await asyncio.to_thread(debian.run, "ogagent", "check")
            said = json.loads(await asyncio.to_thread(debian.run, "ogagent", "check", "--json"))
    found = {each["what"]: each for each in said}
    assert "problem" not in {each["state"] for each in said}, text
    assert found["CACHE"]["said"].startswith(f"{disk}p1, 32.0 MiB, ext4")
    assert found[disk]["state"] == "ok", "it is read past the kernel's memory"
    assert url in found["ogCore"]["said"]
    assert f"the CACHE ({disk}p1) keeps" in found["state.dir"]["said"]
    lacking = [each["hint"] for each in said if each["state"] == "warning" and "not installed" in each["said"]]
    assert "apt install partclone" in lacking
    assert all("apt install " in hint for hint in lacking)


@contextmanager
def disk_with_cache(file: Path) -> Iterator[str]:
    with file.open("xb") as opened:
        opened.truncate(34 * MIB)
    run("sfdisk", "--quiet", file, stdin="label: gpt\nstart=1MiB, size=32MiB, type=linux, name=CACHE\n")
    with attached(file) as disk:
        run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "CACHE", f"{disk}p1")
        yield disk


@asynccontextmanager
async def ogcore(authority: Authority) -> AsyncIterator[str]:
    """Whoever calls is shown its certificate, and nothing more."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), HERE, 0, ssl=authority.server_context(HERE))
    async with server:
        yield f"https://{HERE}:{server.sockets[0].getsockname()[1]}"


def configure(debian: System, authority: Authority, disk: str, url: str) -> None:
    folder = debian.root / "etc/ogagent"
    (folder / "ca.pem").write_bytes(authority.certificate.read_bytes())
    sections = (
        f'[ogcore]\nurl = "{url}"\nca = "/etc/ogagent/ca.pem"',
        f'[disks]\ninclude = ["{disk}"]',
        '[state]\ndir = "cache"',
    )
    (folder / "ogagent.toml").write_text("\n".join(sections), "utf-8")
