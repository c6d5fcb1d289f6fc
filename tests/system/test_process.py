"""Programs that behave, and programs that do not: nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from ogagent.errors import ToolFailed, ToolMissing
from ogagent.system.process import flowing, run

FAR_S = 600.0  # long enough never to be reached

# Says its own number and that of a child; neither minds SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
with open(sys.argv[1], "w") as file:
    print(os.getpid(), child.pid, file=file)
while True:
    signal.pause()
"""


def python(script: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


async def is_gone(pid: int) -> bool:
    """A process that was killed stays for a moment, and for longer as a zombie when its new parent is slow."""
    for _ in range(1000):
        if state(pid) in {"X", "Z"}:
            return True
        await asyncio.sleep(0.01)
    return False


@asynccontextmanager
async def stubborn(directory: Path) -> AsyncIterator[tuple[asyncio.Task[bytes], list[int]]]:
    """A call of a program that is known to run, and the processes that it consists of."""
    said = directory / "said"
    os.mkfifo(said)
    call = asyncio.create_task(run(python(STUBBORN, said), timeout_s=FAR_S))
    pids = [int(word) for word in (await asyncio.to_thread(said.read_text)).split()]
    assert len(pids) == 2
    yield call, pids
    with pytest.raises(asyncio.CancelledError):
        await call
    assert all([await is_gone(pid) for pid in pids])


async def test_output_is_returned() -> None:
    assert await run(["printf", "one\ntwo"], timeout_s=FAR_S) == b"one\ntwo"


async def test_environment_is_the_allowed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGAGENT_SECRET", "not for others")
    monkeypatch.setenv("LANG", "es_ES.UTF-8")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    output = await run(["env"], timeout_s=FAR_S)
    environment = dict(line.split("=", 1) for line in output.decode().splitlines())
    assert set(environment) == {"PATH", "LC_ALL"}
    assert environment["LC_ALL"] == "C"
    assert environment["PATH"].startswith("/usr/bin:/bin:")
    assert {"/usr/sbin", "/sbin"} <= set(environment["PATH"].split(":"))


async def test_process_leads_a_session_of_its_own() -> None:
    output = await run(python("import os; print(os.getpid(), os.getsid(0), os.getpgrp())"), timeout_s=FAR_S)
    assert len(set(output.split())) == 1


async def test_standard_input_is_closed_unless_given() -> None:
    assert await run(["cat"], timeout_s=FAR_S) == b""


async def test_standard_input_larger_than_any_pipe_arrives() -> None:
    data = os.urandom(1 << 20)
    assert await run(["cat"], timeout_s=FAR_S, stdin=data, max_output=len(data)) == data


async def test_standard_input_that_nobody_reads_is_no_error() -> None:
    assert await run(["true"], timeout_s=FAR_S, stdin=bytes(1 << 20)) == b""


async def test_failure_says_what_the_program_said_first() -> None:
    script = "import sys; print('\\n  no such disk\\nsecond line', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ToolFailed) as caught:
        await run(python(script), timeout_s=FAR_S)
    assert caught.value.message == f"{Path(sys.executable).name} failed with status 3: no such disk"


async def test_silent_failure() -> None:
    with pytest.raises(ToolFailed, match=r"^false failed with status 1$"):
        await run(["false"], timeout_s=FAR_S)


async def test_endless_complaint_is_cut() -> None:
    with pytest.raises(ToolFailed) as caught:
        await run(python("import sys; sys.stderr.write('x' * 10**7); sys.exit(1)"), timeout_s=FAR_S)
    assert len(caught.value.message) < 300


async def test_end_by_signal_is_a_failure() -> None:
    with pytest.raises(ToolFailed, match="was ended by signal 9"):
        await run(python("import os; os.kill(os.getpid(), 9)"), timeout_s=FAR_S)


@pytest.mark.parametrize(
    ("program", "hint"),
    [("partclone.no-such", "apt install partclone"), ("ogagent-no-such-program", "")],
)
async def test_missing_program_names_the_package(program: str, hint: str) -> None:
    with pytest.raises(ToolMissing, match=f"^{program} is not installed$") as caught:
        await run([program], timeout_s=FAR_S)
    assert caught.value.hint == hint


async def test_missing_program_with_a_path(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        await run([str(tmp_path / "sfdisk")], timeout_s=FAR_S)
    assert caught.value.hint == "apt install fdisk"


async def test_file_that_is_no_program(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("")
    with pytest.raises(ToolFailed, match="cannot be started: Permission denied"):
        await run([str(file)], timeout_s=FAR_S)


async def test_output_up_to_the_limit_is_fine() -> None:
    assert len(await run(["head", "-c", "1000", "/dev/zero"], timeout_s=FAR_S, max_output=1000)) == 1000


async def test_endless_output_ends_the_program() -> None:
    with pytest.raises(ToolFailed, match=r"^yes printed more than 1000 bytes$"):
        await run(["yes"], timeout_s=FAR_S, max_output=1000)


async def test_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(ToolFailed, match=r"^sleep did not end within 0.01 s$"):
        await run(["sleep", "1000"], timeout_s=0.01)


async def test_what_a_program_leaves_behind_is_ended() -> None:
    """It would also keep the output open for ever."""
    output = await run(["sh", "-c", "sleep 1000 & echo $!"], timeout_s=FAR_S)
    assert await is_gone(int(output))


async def test_cancel_leaves_no_process(tmp_path: Path) -> None:
    async with stubborn(tmp_path) as (call, _):
        call.cancel()


async def test_cancel_while_being_cancelled_leaves_no_process(tmp_path: Path) -> None:
    async with stubborn(tmp_path) as (call, pids):
        call.cancel()
        for _ in range(3):  # the call sends SIGTERM and begins to wait
            await asyncio.sleep(0)
        assert state(pids[0]) not in {"X", "Z"}
        call.cancel()


# Says that it runs, is asked to end, and does so when there is a certain file.
ORDERLY = """
import os, signal, sys, time
def end(*_):
    open(sys.argv[2], "w").close()
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.01)
    open(sys.argv[4], "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").close()
while True:
    time.sleep(0.01)  # a signal that comes right before pause() would wait for the next one
"""


async def test_who_must_not_be_killed_at_once_is_given_time(tmp_path: Path) -> None:
    runs, asked, leave, left = (tmp_path / name for name in ("runs", "asked", "leave", "left"))
    call = asyncio.create_task(run(python(ORDERLY, runs, asked, leave, left), timeout_s=FAR_S, grace_s=FAR_S))
    await there(runs)
    call.cancel()
    await there(asked)
    await asyncio.sleep(1.0)  # longer than others are given
    leave.touch()
    await asyncio.wait([call])
    assert call.cancelled()
    assert left.exists()


async def test_who_has_only_just_been_started_is_given_time_as_well(tmp_path: Path) -> None:
    runs, asked, leave, left = (tmp_path / name for name in ("runs", "asked", "leave", "left"))
    leave.touch()
    call = asyncio.create_task(run(python(ORDERLY, runs, asked, leave, left), timeout_s=FAR_S, grace_s=FAR_S))
    while not of_this_test(tmp_path):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    while not runs.exists():
        time.sleep(0.01)  # noqa: ASYNC251
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert left.exists()


async def there(path: Path) -> None:
    async with asyncio.timeout(FAR_S):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - a file
            await asyncio.sleep(0.01)


# --- one whose output flows ---------------------------------------------------------------------------------------


async def test_cancelled_at_each_turn_of_its_start(tmp_path: Path) -> None:
    """Nothing runs after it, and no descriptor stays open."""
    before = psutil.Process().num_fds()
    turns, started = 0, False

    async def begin() -> None:
        nonlocal started
        async with flowing(python("import time; time.sleep(1000)", tmp_path)) as flow:
            started = True
            await flow.read()

    while not started:
        task = asyncio.create_task(begin())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not of_this_test(tmp_path)
        await asyncio.sleep(0)
        turns += 1
    assert psutil.Process().num_fds() == before


def of_this_test(folder: Path) -> list[int]:
    found = (each.info for each in psutil.process_iter(["pid", "cmdline"]))
    return [
        each["pid"] for each in found if str(folder) in " ".join(each["cmdline"] or ()) and state(each["pid"]) != "Z"
    ]
