"""The command line as a person meets it: what comes out where, and the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ogagent import __version__
from ogagent.cli import settings_of_machine
from ogagent.cli_disks import print_disks
from ogagent.errors import SettingsError
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.settings import Settings
from tests.block_devices import block_devices

CALL = {"dsk": "1", "par": "2", "idi": "1", "nci": "image-test", "ipr": "192.168.68.55"}


def ogagent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", *(str(each) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def no_disks(tmp_path: Path) -> Path:
    """A configuration under which the machine has no disks."""
    config = tmp_path / "ogagent.toml"
    config.write_text(f"[disks]\nexclude = {json.dumps(block_devices())}\n")
    return config


def test_version() -> None:
    done = ogagent("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ogagent {__version__}\n", "")


@pytest.mark.parametrize("command", [[], ["serve"], ["disks"], ["plan"]])
def test_help(command: list[str]) -> None:
    done = ogagent(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ogagent")
    assert done.stderr == ""


USAGE = [
    [],
    ["format"],
    ["serve"],
    ["disks", "--no-such-option"],
    ["plan", "{}"],
    ["finish", "/dev/null", "--hostname", "-pc 1"],
    ["finish", "/dev/null", "--hostname", ""],
]


@pytest.mark.parametrize("arguments", USAGE)
def test_usage(arguments: list[str]) -> None:
    done = ogagent(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: ogagent")


def test_disks(no_disks: Path) -> None:
    done = ogagent("disks", "--json", "--config", no_disks)
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"disks": []}, "")
    done = ogagent("disks", "--config", no_disks)
    assert (done.returncode, done.stdout, done.stderr) == (0, "This machine has no disks.\n", "")


def test_a_label_is_nothing_but_text(capsys: pytest.CaptureFixture[str]) -> None:
    odd = Partition(partition=1, device="/dev/sdx1", start=0, size=1, code="8300", label="[/red]", name="", os="[b]:x:")
    disk = Disk(
        disk=1, device="/dev/sdx", identity="i", model="[/]", size=1, sector_size=512, table="gpt", partitions=(odd,)
    )
    print_disks(Inventory(disks=(disk,)))
    shown = capsys.readouterr().out
    assert "[/red]" in shown
    assert "[b]:x:" in shown


@pytest.mark.parametrize(
    ("request_body", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"dsk": ' + "9" * 5000 + "}", "not JSON"),
        ('{"dsk": 1, "dsk": 1}', "a member twice"),
        ('{"dsk": "\udcff"}', "not JSON"),
        (json.dumps(CALL | {"ipr": "a..b"}), "ipr is 'a..b'"),
        (json.dumps(CALL | {"par": "x"}), "par is 'x'"),
        (json.dumps({key: CALL[key] for key in CALL if key != "nci"}), "nci is missing"),
        (json.dumps(CALL | {"method": "pigeon"}), "method 'pigeon' is not supported"),
        (json.dumps(CALL | {"ipr": "192.0.2.1"}), "192.0.2.1 is outside"),
        (json.dumps(CALL), "there is no disk 1: this machine has none"),
    ],
)
def test_a_plan_that_is_refused(no_disks: Path, request_body: str, told: str) -> None:
    done = ogagent("plan", "--config", no_disks, request_body)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ogagent: ")
    assert told in line


@pytest.mark.parametrize("command", [["serve"], ["disks"], ["plan", json.dumps(CALL)]])
@pytest.mark.parametrize(
    ("text", "told"),
    [("[server]\nprot = 1\n", "server.prot: unknown key"), ("[server\n", "is not TOML"), (None, "cannot be read")],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, command: list[str], text: str | None, told: str) -> None:
    config = tmp_path / "ogagent.toml"
    if text is not None:
        config.write_text(text)
    done = ogagent(command[0], "--config", config, *command[1:])
    assert done.returncode == 78
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert str(config) in line
    assert told in line


def test_commands_without_a_configuration_go_by_that_of_the_agent(tmp_path: Path) -> None:
    usual, other = tmp_path / "usual.toml", tmp_path / "other.toml"
    assert settings_of_machine(None, usual) == Settings()
    usual.write_text('[disks]\nexclude = ["/dev/sda"]\n')
    other.write_text('[disks]\nexclude = ["/dev/sdb"]\n')
    assert settings_of_machine(None, usual).disks.exclude == ("/dev/sda",)
    assert settings_of_machine(other, usual).disks.exclude == ("/dev/sdb",)
    usual.write_text("[disk]\n")
    with pytest.raises(SettingsError):
        settings_of_machine(None, usual)
    with pytest.raises(SettingsError):
        settings_of_machine(tmp_path / "missing.toml", usual)


def test_a_configuration_is_checked(tmp_path: Path) -> None:
    config = tmp_path / "ogagent.toml"
    config.write_text("[server]\nport = 8000\n")
    done = ogagent("config", "--check", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{config}: nothing is wrong with it")
    config.write_text('[access]\nmode = "password"\n')
    refused = ogagent("config", "--check", config).stderr
    assert refused.endswith(
        """access.mode: Invalid enum value 'password': it is "secret" or "certificate" or "address"\n"""
    )
    config.write_text("[server]\nprt = 8000\n")
    done = ogagent("config", "--check", config)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"ogagent: {config}: server.prt: unknown key\n"
