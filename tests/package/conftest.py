"""The package, and roots that it is installed into, need what ``python -m tests.machine.prepare`` has made."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ogagent import __version__
from systemd.packaging.build import build
from systemd.packaging.wheels import AGENT, P2P
from tests.counted import TABLES
from tests.machine import kept
from tests.machine.tools import missing
from tests.package import roots
from tests.package.system import System, system
from tests.steps import Steps

NEXT = "99.0"
"""A version after this one."""
Package = Callable[..., Path]


def required(recipe: kept.Recipe) -> None:
    if not kept.awaited(recipe):
        pytest.skip(f"{recipe.name} is not there yet: python -m tests.machine.prepare makes it")


@pytest.fixture(scope="session")
def wheels() -> Path:
    required(roots.recipe_of_wheels())
    return roots.fetched()


@pytest.fixture(scope="session")
def package(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """By name and version; each is made once."""

    @functools.cache
    def made(name: str, version: str = __version__) -> Path:
        return build(wheels, tmp_path_factory.mktemp("package"), version, name)

    return made


@pytest.fixture(scope="session")
def deb(package: Package) -> Path:
    return package(AGENT)


@pytest.fixture(scope="session")
def p2p_deb(package: Package) -> Path:
    return package(P2P)


@pytest.fixture(scope="session")
def next_deb(package: Package) -> Path:
    return package(AGENT, NEXT)


@pytest.fixture(params=roots.present())
def suite(request: pytest.FixtureRequest) -> str:
    if os.geteuid() != 0:
        pytest.skip("packages are installed by root")
    if absent := missing("dpkg-deb", "chroot"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    required(roots.recipe(request.param))
    return str(request.param)


@pytest.fixture
def debian(suite: str, tmp_path: Path) -> Iterator[System]:
    with system(roots.root(suite), tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def timed(request: pytest.FixtureRequest, steps: Steps) -> Iterator[None]:
    """Each test is a step."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    with steps.step(given.get("suite", "package"), request.function.__name__.removeprefix("test_").replace("_", " ")):
        yield


@pytest.fixture
def show(pytestconfig: pytest.Config) -> Callable[[str, list[str]], None]:
    """Takes the title and the lines of a table for the end of the run."""
    tables = pytestconfig.stash.setdefault(TABLES, [])
    return lambda title, lines: tables.append((title, lines))
