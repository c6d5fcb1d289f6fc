"""The unit, as systemd itself reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from ogagent.cli import CONFIGURATION, RETIRED
from ogagent.settings import Settings

FOLDER = Path(__file__).parents[1] / "systemd"
UNIT = FOLDER / "ogagent.service"
INSTALLED = FOLDER / "ogagent-installed.service"

needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)"
)
both = pytest.mark.parametrize("unit", [UNIT, INSTALLED], ids=["oglive", "installed"])


def section(unit: Path, name: str = "Service") -> dict[str, str]:
    parser = ConfigParser(interpolation=None, strict=False)  # a list may take several lines
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(unit)
    return dict(parser[name])


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    return section(UNIT)


@pytest.fixture(scope="module")
def installed() -> dict[str, str]:
    return section(INSTALLED)


@both
@needs_analyze
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    """verify insists that the program of ExecStart exists; here it lies elsewhere, so another one takes its place."""
    program = section(unit)["ExecStart"].split()[0]
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(program, "/usr/bin/true"))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")


@both
def test_the_agent_speaks_to_systemd_itself(unit: Path) -> None:
    service = section(unit)
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert int(service["WatchdogSec"]) > 0


@both
def test_a_configuration_error_is_not_repeated(unit: Path) -> None:
    service = section(unit)
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(CONFIGURATION)


@both
def test_an_agent_that_makes_room_is_followed_by_another(unit: Path) -> None:
    service = section(unit)
    assert service["RestartForceExitStatus"] == service["SuccessExitStatus"] == str(RETIRED)


@both
def test_the_state_directory_is_the_default_of_the_settings(unit: Path) -> None:
    service = section(unit)
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
    assert allowed == ["block-* rw", "/dev/loop-control rw", "/dev/fuse rw"]


def test_the_agent_may_mount_and_leave_files_to_their_owners_and_no_more(service: dict[str, str]) -> None:
    rights = "CAP_SYS_ADMIN CAP_CHOWN CAP_SETUID CAP_SETGID CAP_KILL"
    assert (service["CapabilityBoundingSet"], service["AmbientCapabilities"]) == (rights, "")
    assert service["RestrictNamespaces"] == "mnt"
    assert service["ExecStartPre"] == f"+/bin/mkdir -p {Settings().cache.mount_point}"
    assert service["NoNewPrivileges"] == "yes"


# --- the unit of an installed system ------------------------------------------------------------------------------


def test_an_installed_system_has_no_right_to_a_disk(installed: dict[str, str]) -> None:
    assert installed["DevicePolicy"] == "closed"
    assert "DeviceAllow" not in installed
    for right in ("CAP_SYS_ADMIN", "CAP_SYS_RAWIO", "CAP_MKNOD", "CAP_DAC_OVERRIDE"):
        assert right not in installed["CapabilityBoundingSet"]
    assert "@mount" not in INSTALLED.read_text().partition("[Service]")[2].partition("# What systemd-analyze")[0]


def test_what_it_can_become_and_write_to(installed: dict[str, str]) -> None:
    assert installed["CapabilityBoundingSet"] == "CAP_SETUID CAP_SETGID CAP_KILL"
    assert (installed["AmbientCapabilities"], installed["NoNewPrivileges"]) == ("", "yes")
    assert installed["ProtectSystem"] == "strict"
    assert installed["ReadWritePaths"].split() == ["-/home", "-/tmp", "-/var/tmp", "-/run/user"]
    assert "ExecStartPre" not in installed


def test_the_two_never_run_together() -> None:
    assert section(INSTALLED, "Unit")["Conflicts"] == UNIT.name


def test_what_makes_no_difference_is_the_same(service: dict[str, str], installed: dict[str, str]) -> None:
    own = {"DeviceAllow", "ExecStartPre", "MemoryMax", "OOMPolicy", "OOMScoreAdjust", "ProtectHome", "TimeoutStartSec"}
    own |= {"CapabilityBoundingSet", "ReadWritePaths", "RestrictNamespaces", "SystemCallFilter"}
    assert {name: value for name, value in service.items() if name not in own} == {
        name: value for name, value in installed.items() if name not in own
    }
    assert re.findall("^SystemCallFilter=(.*)$", INSTALLED.read_text(), re.MULTILINE) == [
        "@system-service", "~@privileged @resources", "@setuid",
    ]  # fmt: skip


# --- both ---------------------------------------------------------------------------------------------------------


@both
@needs_analyze
def test_exposure_is_low_and_what_is_left_has_its_reason(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    whole = subprocess.run([*command, str(unit)], capture_output=True, text=True, timeout=300, check=True).stdout
    exposure = re.search(rf"Overall exposure level for {unit.name}: ([0-9.]+)", whole)
    assert exposure is not None
    assert float(exposure[1]) <= 3.4
    asked = subprocess.run(
        [*command, "--json=short", str(unit)], capture_output=True, text=True, timeout=300, check=True
    )
    left = [point["name"] for point in json.loads(asked.stdout) if point["exposure"]]
    reasons = unit.read_text().partition("# What systemd-analyze security still counts")[2]
    words = {
        point: re.findall(r"(?:AF_[A-Z0-9]+|CAP_[A-Z_]+|@[a-z]+|(?<![A-Z])INET6?|[A-Z][A-Za-z]+=(?!~))", point)
        for point in left
    }
    assert words
    assert [point for point, found in words.items() if not any(each in reasons for each in (point, *found))] == []
