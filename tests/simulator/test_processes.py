from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from simulator.errors import LabError, ToolFailed, ToolMissing
from simulator.processes import peer, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(log: Path, text: str, process_id: int) -> str:
    """Until the process has said so, or has ended."""
    process = psutil.Process(process_id)
    while text not in (said := log.read_text()):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            pytest.fail(f"it ended without saying {text!r}: {said}")
        os.sched_yield()
    return said


def wait_until_gone(process_id: int) -> None:
    """It has been killed, but is not ours to reap: whoever adopts it may be slow, or leave it a zombie."""
    give_up = time.monotonic() + 120
    while psutil.pid_exists(process_id):
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
                return
        assert time.monotonic() < give_up
        os.sched_yield()


def test_a_tool_is_heard_out() -> None:
    assert run(python("import sys; print('out'); print('err', file=sys.stderr)")) == ("out\n", "err\n")


def test_only_what_is_allowed_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGAGENT_OGCORE_URL", "https://elsewhere")
    out, _ = run(python("import os; print(sorted(os.environ))"))
    assert "OGAGENT_OGCORE_URL" not in out
    assert "PATH" in out


def test_a_tool_that_is_missing() -> None:
    with pytest.raises(ToolMissing, match=r"mkfs\.nonsense is not installed"):
        run(["mkfs.nonsense"])


def test_a_tool_that_fails() -> None:
    with pytest.raises(ToolFailed, match="status 3: the reason"):
        run(python("import sys; print('the reason', file=sys.stderr); sys.exit(3)"))


def test_a_tool_that_does_not_end() -> None:
    with pytest.raises(ToolFailed, match="did not end"):
        run(python("import signal; signal.pause()"), timeout_s=0.1)


STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, "ready", flush=True)
while True:
    signal.pause()
"""


def test_a_peer_leaves_nothing_behind(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with peer("stubborn", python(STUBBORN), log, grace_s=0.1) as stubborn:
        child = int(wait_for(log, "ready", stubborn.pid).split()[1])
        assert psutil.pid_exists(child)
    assert not psutil.pid_exists(stubborn.pid)
    wait_until_gone(child)


POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye")))
print("up", flush=True)
signal.pause()
"""


def test_a_peer_may_say_goodbye(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with peer("polite", python(POLITE), log) as process:
        wait_for(log, "up", process.pid)
        process.stop()
    assert log.read_text() == "up\nbye\n"


def test_a_peer_that_has_died_is_noticed(tmp_path: Path) -> None:
    with peer("mortal", python("import sys; sys.exit('oh no')"), tmp_path / "log") as mortal:
        os.waitid(os.P_PID, mortal.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(LabError, match="mortal ended with status 1: oh no"):
            mortal.check()
