"""Real agents, on a disk that is a file, which may kill themselves at a point that can be named.

A program of its own: one line of JSON on standard input is one agent, forked from this process, which has loaded all
modules already. It answers with the number of the process; that begins when another line says that it is watched.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ogagent.cli import read_settings, serve
from ogagent.disk.machine import Device
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from simulator.machine.file_cache import FileCache
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_power import FilePower


class Deadline:
    """The point: of all that is asked of the machine, number ``at``; ``before`` it, in the middle, or ``after`` it."""

    def __init__(self, at: int, when: str, counter: Path) -> None:
        self._at = at
        self._when = when
        self._counter = counter
        self._count = 0

    def passing(self, half: Callable[[], object] = lambda: None) -> None:
        if self._count == self._at and self._when != "after":
            if self._when == "middle":
                half()
            self.die()

    def passed(self) -> None:
        if self._count == self._at:
            self.die()
        self._count += 1
        self._counter.write_text(str(self._count))

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyMachine(FileMachine):
    def __init__(self, disk: Path, deadline: Deadline) -> None:
        super().__init__([disk])
        self._deadline = deadline

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        self._deadline.passing()
        found = await super().inventory(thorough=thorough)
        self._deadline.passed()
        return found

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        self._deadline.passing()
        with super().open_target(target) as device:
            self._deadline.passed()
            yield DeadlyDevice(device, self._deadline)
            self._deadline.passing()
        self._deadline.passed()


class DeadlyDevice:
    def __init__(self, device: Device, deadline: Deadline) -> None:
        self._device = device
        self._deadline = deadline
        self.size = device.size

    def write(self, offset: int, data: memoryview) -> None:
        self._deadline.passing(lambda: self._device.write(offset, data[: len(data) // 1024 * 512]))
        self._device.write(offset, data)
        self._deadline.passed()

    def zero(self, offset: int, length: int) -> None:
        self._deadline.passing(lambda: self._device.zero(offset, length // 2))
        self._device.zero(offset, length)
        self._deadline.passed()

    def flush(self) -> None:
        self._deadline.passing()
        self._device.flush()
        self._deadline.passed()

    def read_back(self, offset: int, into: memoryview) -> None:
        self._deadline.passing()
        self._device.read_back(offset, into)
        self._deadline.passed()


def run(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    deadline = Deadline(order["at"], order["when"], Path(order["counter"]))
    disk = Path(order["disk"])
    power = FilePower([disk], disk.with_suffix(".nvram"))
    serve(read_settings(Path(order["config"])), DeadlyMachine(disk, deadline), FileCache(), power)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the agents here
    while line := sys.stdin.readline():
        wait, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(wait, 1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = 1
            try:
                run(json.loads(line))
                status = 0
            finally:
                os._exit(status)
        print(pid, flush=True)
        sys.stdin.readline()
        for end in (wait, go):
            os.close(end)


if __name__ == "__main__":
    main()
