"""The table in SECURITY.md: complete, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ATTACKERS = {
    "no credential",
    "wrong secret",
    "foreign certificate",
    "other address",
    "replayed request",
    "between agent and ogCore",
    "between agent and repository",
    "hostile image",
    "hostile repository",
    "writer of the CACHE",
    "sender of a session, or peer",
    "hostile system on a partition",
    "who is logged in on an installed system",
    "local unprivileged user",
}


def rows() -> list[list[str]]:
    text = (ROOT / "SECURITY.md").read_text().partition("## Attackers and goals")[2]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_attacker_and_every_goal_has_its_cell() -> None:
    head, _, *body = rows()
    assert head[1:] == [
        *("start a job", "stop one", "read the inventory"),
        *("read the secret", "write a disk", "crash the agent"),
    ]
    assert {row[0] for row in body} == ATTACKERS
    assert [row for row in body if len(row) != len(head) or not all(row)] == []


def test_every_test_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = set(re.findall(r"def (test_\w+)\(", sources))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text()))
    assert len(named) > 20
    assert named - existing == set()
