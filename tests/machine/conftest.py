"""Machines in QEMU need root, its programs, and a network of the run's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.counted import TABLES
from tests.machine import kept, prepare
from tests.machine.network import IPXE, is_own
from tests.machine.store import Store
from tests.machine.tools import missing

_PROGRAMS = (
    "qemu-system-x86_64",
    "mmdebstrap",
    "dnsmasq",
    "ip",
    "sfdisk",
    "mke2fs",
    "mkfs.vfat",
    "mcopy",
    "partclone.ext4",
    "mksquashfs",
    "unsquashfs",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the longest begins first, so that others run beside it to the end."""
    items.sort(key=lambda item: all(mark.args != ("machines",) for mark in item.iter_markers("xdist_group")))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if os.geteuid() != 0:
        pytest.skip("systems are made by root")
    if absent := missing(*_PROGRAMS):
        pytest.skip(f"not installed: {', '.join(absent)}")
    with kept.nobody_else():
        absent = prepare.absent()
    if not IPXE.exists():
        pytest.skip(f"{IPXE} is not there: the package ipxe has it")
    if absent:
        pytest.skip(f"{', '.join(absent)} are not there yet: python -m tests.machine.prepare makes them")
    if not is_own():
        pytest.skip("there is no network namespace to be had")
    folder = tmp_path_factory.mktemp("machines")
    yield Store(folder)
    shutil.rmtree(folder)


@pytest.fixture
def show(pytestconfig: pytest.Config) -> Callable[[str, list[str]], None]:
    """Takes the title and the lines of a table for the end of the run."""
    tables = pytestconfig.stash.setdefault(TABLES, [])
    return lambda title, lines: tables.append((title, lines))
