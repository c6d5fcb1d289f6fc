"""``ogsim`` as a person meets it: exit statuses, and one line that says what to do next."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import __version__
from simulator.machine.gpt import write_table

MIB = 1 << 20


def ogsim(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    (line,) = result.stderr.splitlines()
    assert line.startswith("ogsim: ")
    return line


@pytest.mark.parametrize("command", [(), ("demo",), ("repository",), ("ogcore",), ("agent",), ("boot",)])
def test_help(command: tuple[str, ...]) -> None:
    result = ogsim(*command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "usage: ogsim" in result.stdout


def test_version() -> None:
    result = ogsim("--version")
    assert (result.returncode, result.stdout) == (0, f"ogsim {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("agent",),
        ("repository", "--images", "/"),
        ("repository", "--images", "/", "--plain", "--mbit", "0"),
    ],
)
def test_usage(arguments: tuple[str, ...]) -> None:
    assert ogsim(*arguments).returncode == 2


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("[server]\nprot = 8000\n")
    result = ogsim("agent", "--config", config, "--disk", config)
    assert result.returncode == 78
    assert "server.prot" in complaint(result)


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("")
    result = ogsim("agent", "--config", config, "--disk", tmp_path / "absent")
    assert result.returncode == 1
    assert "absent is no file" in complaint(result)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    result = ogsim("repository", "--images", tmp_path / "absent", "--plain")
    assert result.returncode == 1
    assert "absent is no directory" in complaint(result)


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = ogsim("repository", "--images", tmp_path, "--plain", "--address", "127.0.0.1", "--port", port)
    assert result.returncode == 1
    assert f"127.0.0.1 port {port}" in complaint(result)


def test_an_empty_disk_does_not_boot(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(MIB)
        write_table(file, MIB, ())
    (tmp_path / "agent.toml").touch()
    result = ogsim("boot", "--config", tmp_path / "agent.toml", "--disk", disk)
    assert result.returncode == 1
    assert "no partition 2" in complaint(result)
