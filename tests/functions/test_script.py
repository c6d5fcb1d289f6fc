"""Scripts: what they print and how they end is told, and nothing of them stays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.errors import CallerNotAllowed, InvalidField, MachineBusy, MissingField
from ogagent.functions.script import plain
from ogagent.model.job import State
from ogagent.settings import MachineSettings, ScriptSettings, Settings
from ogagent.system.script import interpreter
from tests.functions.running import Agent, running, settings_in
from tests.jobs.two_disks import until


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running(tmp_path) as agent:
        yield agent
        assert list((tmp_path / "state/scripts").glob("*")) == []


async def test_what_it_prints_is_told(agent: Agent) -> None:
    job, report = await agent.run("EjecutarScript", scp="echo one; echo two >&2; echo ñ", ids="7")
    assert (job.state, job.error, job.target) == (State.SUCCEEDED, None, None)
    assert (report["nfn"], report["res"], report["der"]) == ("RESPUESTA_EjecutarScript", "1", "")
    assert (report["out"], report["code"], report["ids"]) == ("one\ntwo\nñ\n", "0", "7")
    assert [row["par"] for row in report["cfg"]] == ["0", "1"]


async def test_its_failure_is_a_failure_and_its_output_told(agent: Agent) -> None:
    job, report = await agent.run("EjecutarScript", scp="echo no room\nexit 3")
    assert job.state is State.FAILED
    assert (report["res"], report["der"]) == ("2", "040-The script ended with status 3")
    assert (report["out"], report["code"]) == ("no room\n", "3")


async def test_a_signal_counts_as_in_a_shell(agent: Agent) -> None:
    _, report = await agent.run("EjecutarScript", scp="kill -KILL $$")
    assert (report["res"], report["code"]) == ("2", "137")


@pytest.mark.parametrize(
    "scp", ["#!/usr/bin/python3\nprint(6 * 7)\n", "#!/bin/sh -e\nfalse\necho 41", "echo $((6 * 7))"]
)
async def test_its_first_line_names_who_runs_it(agent: Agent, scp: str) -> None:
    _, report = await agent.run("EjecutarScript", scp=scp)
    assert (report["out"], report["code"]) in (("42\n", "0"), ("", "1"))
    assert (report["code"] == "1") == ("-e" in scp)


async def test_an_interpreter_that_is_not_there(agent: Agent) -> None:
    job, report = await agent.run("EjecutarScript", scp="#!/no/such/thing\n")
    assert report["der"].startswith("007-")
    assert job.error is not None
    assert job.error.code == "script-not-run"
    assert "out" not in report


async def test_of_endless_output_the_end_is_told(agent: Agent) -> None:
    _, report = await agent.run("EjecutarScript", scp="head -c 1000000 /dev/zero | tr '\\0' x; echo the end")
    assert len(report["out"]) == 64 << 10
    assert report["out"].endswith("xthe end\n")


async def test_bytes_that_are_no_text(agent: Agent) -> None:
    _, report = await agent.run("EjecutarScript", scp="printf 'a\\377\\000b'")
    assert report["out"] == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


async def test_nothing_of_the_agents_surroundings_is_in_its_own(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGAGENT_SECRET", "s3cret")
    _, report = await agent.run("EjecutarScript", scp="env; id -u; readlink /proc/self/fd/0")
    names = {line.partition("=")[0] for line in report["out"].splitlines() if "=" in line}
    assert names <= {"PATH", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    assert report["out"].endswith(f"{os.getuid()}\n/dev/null\n")


async def test_a_cancel_ends_it_and_its_children(agent: Agent) -> None:
    job = await agent.start("EjecutarScript", scp="trap '' TERM; sleep 3600 & (sleep 3601 &) ; sleep 3602")

    def sleepers() -> list[str]:
        own = (command_of(each) for each in psutil.Process().children(recursive=True))
        return [command for command in own if "360" in command]

    await until(lambda: len([each for each in sleepers() if each.startswith("sleep")]) >= 2)
    done = await agent.jobs.cancel(job.job_id)
    assert done.state is State.CANCELLED
    assert sleepers() == []
    _, report = await agent.ended(job)
    assert (report["res"], report["der"]) == ("2", "000-Cancelled")


def command_of(process: psutil.Process) -> str:
    """Empty for one that has ended, perhaps while it was looked at."""
    with suppress(psutil.NoSuchProcess):
        if process.status() != psutil.STATUS_ZOMBIE:
            return " ".join(process.cmdline())
    return ""


async def test_what_a_killed_agent_has_left_goes(agent: Agent, tmp_path: Path) -> None:
    left = tmp_path / "state/scripts/EjecutarScript-00000000"
    left.parent.mkdir(parents=True)
    left.write_text("echo old")
    await agent.run("EjecutarScript", scp="true")
    assert not left.exists()


async def test_nobody_else_reads_it(agent: Agent) -> None:
    _, report = await agent.run("EjecutarScript", scp='stat -c %a "$0" "$(dirname "$0")"')
    assert report["out"] == "600\n700\n"


async def test_while_it_runs_the_machine_is_taken(agent: Agent) -> None:
    job = await agent.start("EjecutarScript", scp="sleep 3600")
    with pytest.raises(MachineBusy, match=job.job_id):
        await agent.start("EjecutarScript", scp="true")
    with pytest.raises(MachineBusy, match=job.job_id):
        await agent.start("RestaurarImagen", dsk="1", par="1", idi="1", nci="x", ipr="127.0.0.1")
    _, report = await agent.run("Actualizar", ids="9")
    assert (report["nfn"], report["res"], report["ids"]) == ("RESPUESTA_Configurar", "1", "9")
    await agent.jobs.cancel(job.job_id)


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    off = Settings(state=settings_in(tmp_path).state, machine=MachineSettings(script=ScriptSettings(enabled=False)))
    async with running(tmp_path, off) as agent:
        with pytest.raises(CallerNotAllowed):
            await agent.start("EjecutarScript", scp="true")


@pytest.mark.parametrize(
    ("scp", "refusal"),
    [(None, MissingField), ("", MissingField), *((bad, InvalidField) for bad in ("\0", "%00", "%ff"))],
)
async def test_what_is_no_script(agent: Agent, scp: str | None, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        await agent.start("EjecutarScript", scp=scp)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_encoded_or_plain_it_is_the_same_script(script: str) -> None:
    assert plain(quote(script, safe="")) == script
    if "%" not in script:
        assert plain(script) == script


@pytest.mark.parametrize("script", ["date +%d", "echo 100%", "a%2", "printf '%s %20d' 1 2", "echo%"])
def test_a_percent_sign_makes_no_encoding(script: str) -> None:
    assert plain(script) == script


@pytest.mark.parametrize(
    ("script", "argv"),
    [
        ("echo", ("/bin/bash",)),
        ("#!/bin/sh", ("/bin/sh",)),
        ("#! /usr/bin/env  python3 -u \nx", ("/usr/bin/env", "python3 -u")),
        ("#!bash\n", ("/bin/bash",)),
        ("#!\n", ("/bin/bash",)),
    ],
)
def test_interpreters(script: str, argv: tuple[str, ...]) -> None:
    assert interpreter(script) == argv
