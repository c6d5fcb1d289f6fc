"""The unit, as systemd itself reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from ogagent.settings import Settings

UNIT = Path(__file__).parents[1] / "systemd" / "ogagent.service"


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    parser = ConfigParser(interpolation=None, strict=False)  # a list may take several lines
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)")
def test_systemd_finds_nothing_wrong(service: dict[str, str], tmp_path: Path) -> None:
    """verify insists that the program of ExecStart exists; here it lies elsewhere, so another one takes its place."""
    program = service["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(program, sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")


def test_the_agent_speaks_to_systemd_itself(service: dict[str, str]) -> None:
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert int(service["WatchdogSec"]) > 0


def test_a_configuration_error_is_not_repeated(service: dict[str, str]) -> None:
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "78"


def test_the_state_directory_is_the_default_of_the_settings(service: dict[str, str]) -> None:
    assert f"/var/lib/{service['StateDirectory']}" == Settings().state.dir
    assert service["StateDirectoryMode"] == "0700"


def test_no_directory_is_hidden_from_the_agent(service: dict[str, str]) -> None:
    """What is mounted in a hidden one would not be seen, and a mounted partition must be."""
    hiding = [name for name in service if name in ("PrivateTmp", "InaccessiblePaths", "TemporaryFileSystem")]
    assert hiding == []
    assert service["ProtectHome"] == "read-only"


def test_what_the_agent_can_write_to(service: dict[str, str]) -> None:
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"].split() == [f"-{Settings().cache.mount_point}", "-/sys/firmware/efi/efivars"]
    assert service["DevicePolicy"] == "closed"
    allowed = re.findall(r"^DeviceAllow=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert allowed == ["block-* rw", "/dev/loop-control rw"]


def test_the_agent_may_mount_the_cache_and_has_no_other_capability(service: dict[str, str]) -> None:
    assert (service["CapabilityBoundingSet"], service["AmbientCapabilities"]) == ("CAP_SYS_ADMIN", "")
    assert service["ExecStartPre"] == f"+/bin/mkdir -p {Settings().cache.mount_point}"
    assert service["NoNewPrivileges"] == "yes"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)")
def test_exposure_is_low_and_what_is_left_has_its_reason() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    whole = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, timeout=300, check=True).stdout
    exposure = re.search(r"Overall exposure level for ogagent.service: ([0-9.]+)", whole)
    assert exposure is not None
    assert float(exposure[1]) <= 3.0
    asked = subprocess.run(
        [*command, "--json=short", str(UNIT)], capture_output=True, text=True, timeout=300, check=True
    )
    left = [point["name"] for point in json.loads(asked.stdout) if point["exposure"]]
    reasons = UNIT.read_text().partition("# What systemd-analyze security still counts")[2]
    words = {
        point: re.findall(r"(?:AF_[A-Z0-9]+|CAP_[A-Z_]+|@[a-z]+|(?<![A-Z])INET6?|[A-Z][A-Za-z]+=(?!~))", point)
        for point in left
    }
    assert words
    assert [point for point, found in words.items() if not any(each in reasons for each in found)] == []
