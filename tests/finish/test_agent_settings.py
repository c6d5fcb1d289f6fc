"""The settings of the agent in an image: which ogCore it belongs to, and nothing else of them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ogagent.errors import NotReady
from ogagent.finish.agent_settings import agent_edits
from ogagent.finish.place import Centre
from ogagent.settings_text import rewritten
from simulator.machine.file_finisher import TreeFiles
from simulator.tree import Node

URL = "https://192.168.2.1"
MEMBERS = {"url": URL, "ca": "/etc/ogagent/ogcore.pem"}
PACKAGED = (Path(__file__).parents[2] / "systemd/ogagent.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        PACKAGED,
        "",
        "[ogcore]\n",
        '[ogcore]\nurl = "https://model"\n[server]\nport = 1\n',
        '# mine\n[ogcore] # here\n  url = "x"\nca = "y"\nregister = false\n',
        '[server]\nurl = "not this"\n',
        '[ogcore]\nregister = false\n\n[log]\nlevel = "debug"',
    ],
)
def test_only_these_members_change(text: str) -> None:
    once = rewritten(text, "ogcore", MEMBERS)
    before, after = tomllib.loads(text), tomllib.loads(once)
    assert after["ogcore"] == {**before.get("ogcore", {}), **MEMBERS}
    assert {name: after[name] for name in after if name != "ogcore"} == {
        name: before[name] for name in before if name != "ogcore"
    }
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in once.splitlines() if line.startswith("#")
    ]
    assert rewritten(once, "ogcore", MEMBERS) == once


def files(text: str) -> TreeFiles:
    return TreeFiles({"/etc/ogagent/ogagent.toml": Node(kind="file", mode=0o600, content=text.encode())})


def test_with_its_ca() -> None:
    there = files("[ogcore]\n")
    for edit in list(agent_edits(there, Centre(url=URL, ca=b"PEM"))):
        edit.make(there)
    assert there.read("etc/ogagent/ogcore.pem") == b"PEM"
    assert tomllib.loads((there.read("etc/ogagent/ogagent.toml") or b"").decode())["ogcore"] == MEMBERS
    assert there.nodes["/etc/ogagent/ogagent.toml"].mode == 0o600


def test_nobody_s_agent_is_made_up() -> None:
    assert list(agent_edits(TreeFiles({}), Centre(url=URL))) == []
    assert list(agent_edits(files("[ogcore]\n"), Centre())) == []


DEEP = pytest.param("x = " + 5000 * "[" + 5000 * "]", id="deep")


@pytest.mark.parametrize(
    "text", ["[ogcore", "[ogcore]\nx = {\n", '[[ogcore]]\nurl = "a"\n', 'ogcore.url = "a"\n', DEEP]
)
def test_what_is_not_understood_is_not_guessed(text: str) -> None:
    with pytest.raises(NotReady, match=r"/etc/ogagent/ogagent.toml of the image"):
        list(agent_edits(files(text), Centre(url=URL)))
