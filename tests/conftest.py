"""The surroundings of a run, how it is divided among processes, and what it says at its end.

Under CI every test must run: a skip there means that something is not being tested any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests.counted import FIGURES, STEPS, hand_over, sections, take_over
from tests.steps import Steps
from tests.surroundings import be_deaf, forget_umask, forget_variables, ignored_signals, leave_mounts, leave_network

_IGNORED: Final = ignored_signals()
_LONGEST_VALUE: Final = 100

# No test passes or fails on elapsed time; nor on how many of the values that are tried can be used.
_UNMEASURED: Final = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=_UNMEASURED)
settings.load_profile("unhurried")

be_deaf(_IGNORED)
forget_variables()
forget_umask()
leave_network()
leave_mounts()


# --- processes ----------------------------------------------------------------------------------------------------


def pytest_xdist_auto_num_workers() -> int:
    """Much of the time is spent waiting; more would compete for memory and disks."""
    return min(len(os.sched_getaffinity(0)) + 1, 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file, for a file's tests share what they have made; files of one ``xdist_group``, which use the same
    addresses, in one process.
    """
    from xdist.scheduler import LoadGroupScheduling

    class ByFile(LoadGroupScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            group: str = super()._split_scope(nodeid)
            return group.partition("::")[0]

    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["ignored"] = _IGNORED


def pytest_configure(config: pytest.Config) -> None:
    be_deaf(getattr(config, "workerinput", {}).get("ignored", ()))


# --- what tests are called ------------------------------------------------------------------------------------------


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A test's name is kept by every process, and sent with every report: it says how long a long value is."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_VALUE:
        return f"{argname} of {len(val)}"
    return None


# --- what was counted ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Takes one line for the summary."""
    return pytestconfig.stash.setdefault(FIGURES, []).append


@pytest.fixture(scope="session")
def steps(pytestconfig: pytest.Config) -> Steps:
    return Steps(pytestconfig.stash.setdefault(STEPS, []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    hand_over(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    take_over(node.config, getattr(node, "workeroutput", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, lines in sections(config):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.CallInfo[None]]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
