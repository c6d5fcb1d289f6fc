"""``ogagent config --import``: what OpenGnsys' agent was told becomes this one's, and what does not is said."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGED = Path(__file__).parents[1] / "systemd/ogagent.toml"
OLD = """[opengnsys]
# Listen address & port
address = 192.168.2.20
port = 8001
remote = https://192.168.2.10/opengnsys/rest/
level = full
log = WARN
"""


def take_over(old: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", "config", "--import", str(old), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    file = tmp_path / "ogagent.cfg"
    file.write_text(OLD, "utf-8")
    return file


def test_what_has_a_place_is_written_and_the_rest_is_said(tmp_path: Path, old: Path) -> None:
    into = tmp_path / "ogagent.toml"
    into.write_bytes(PACKAGED.read_bytes())
    done = take_over(old, "--into", into)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "server.address = 192.168.2.20",
        "server.port = 8001",
        "ogcore.url = https://192.168.2.10",
        "not taken over: level = full: what an agent can do follows from where it runs, see [machine]",
        "log.level = warning",
    ]
    before, after = (tomllib.loads(file.read_text("utf-8")) for file in (PACKAGED, into))
    before["server"] |= {"address": "192.168.2.20", "port": 8001}
    before["ogcore"]["url"] = "https://192.168.2.10"
    before["log"]["level"] = "warning"
    assert after == before
    assert into.stat().st_mode & 0o777 == 0o600
    comments = [line for line in PACKAGED.read_text("utf-8").splitlines() if line.startswith("#")]
    assert [line for line in into.read_text("utf-8").splitlines() if line.startswith("#")] == comments


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("port = http", "invalid literal"),
        ("port = 70000", "server.port"),
        ("address = somewhere", "server.address"),
        ("remote = http://192.168.2.10/opengnsys/rest", "does not begin with https://"),
        ("remote = https://192.168.2.10/elsewhere", "the calls of ogCore begin with /opengnsys/rest"),
        ("log = LOUD", "there is no such level"),
        ("something = 1", "it is not known here"),
    ],
)
def test_what_cannot_be_taken_over_stops_nothing(tmp_path: Path, old: Path, line: str, reason: str) -> None:
    into = tmp_path / "ogagent.toml"
    into.write_text("", "utf-8")
    old.write_text(f"[opengnsys]\n{line}\nlog = ERROR\n" if "log" not in line else f"[opengnsys]\n{line}\n", "utf-8")
    done = take_over(old, "--into", into)
    assert done.returncode == 0
    assert done.stdout.startswith(f"not taken over: {line}: ")
    assert reason in done.stdout
    wanted = {} if "log" in line else {"log": {"level": "error"}}
    assert tomllib.loads(into.read_text("utf-8")) == wanted


@pytest.mark.parametrize(
    ("text", "reason"), [("", "[opengnsys] is missing"), ("port = 1", "is no configuration"), (None, "cannot be read")]
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, old: Path, text: str | None, reason: str) -> None:
    if text is None:
        old.unlink()
    else:
        old.write_text(text, "utf-8")
    done = take_over(old)
    assert done.returncode == 78
    assert reason in done.stderr
