"""Tests of one ``xdist_group`` use the same addresses: these versions of pytest and xdist run them in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST = """
import os
import pytest

pytestmark = [pytest.mark.xdist_group("room"), pytest.mark.filterwarnings("ignore")]

@pytest.mark.parametrize("what", ["one", "other"])
def test_it(what):
    with open({file!r}, "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_tests_of_one_group_run_in_one_process(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for number in range(4):
        (tmp_path / f"test_{number}.py").write_text(TEST.format(file=str(ran)))
    options = ["-p", "tests.conftest", "-c", "/dev/null", "-n2", "--dist=loadgroup", "--import-mode=importlib"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workers = ran.read_text().split()
    assert len(workers) == 8
    assert len(set(workers)) == 1
