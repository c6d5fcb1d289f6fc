"""A program of the name efibootmgr, with the memory of some firmware behind it: what it prints, and how it changes.

It prints what it was given, in its own form, and takes the options of efibootmgr(8) that are used.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

PROGRAM = """import json, re, sys
from pathlib import Path

memory = Path({memory!r})
state = json.loads(memory.read_text())
arguments = sys.argv[1:]
if state["refuses"] in arguments:
    sys.exit("EFI variables are not supported on this system.")
if arguments != ["-v"]:
    state["changes"].append(" ".join(arguments))
given = dict(zip(arguments, arguments[1:]))
if "--create-only" in arguments and state["forgets"] != "entries":
    used = [int(line[4:8], 16) for line in state["entries"] if line.startswith("Boot")]
    number = next(f"{{each:04X}}" for each in range(65536) if each not in used)
    place = next(re.search(r"HD\\(1,[^()]*\\)", line)[0] for line in state["entries"] if "HD(1," in line)
    state["entries"].append(f"Boot{{number}}* {{given['--label']}}\\t{{place}}/File({{given['--loader']}})")
    if state["pushes_forward"]:
        state["order"] = ",".join(filter(None, [number, state["order"]]))
if "--delete-bootnum" in arguments:
    number = given["--bootnum"]
    state["entries"] = [line for line in state["entries"] if line[4:8] != number]
    state["order"] = ",".join(each for each in state["order"].split(",") if each != number)
if "--bootnext" in arguments and state["forgets"] != "next":
    state["next"] = given["--bootnext"]
if "--bootorder" in arguments:
    state["order"] = given["--bootorder"]
if "--delete-bootorder" in arguments:
    state["order"] = ""
memory.write_text(json.dumps(state))
if state["next"]:
    print(f"BootNext: {{state['next']}}")
print("BootCurrent: 0003\\nTimeout: 1 seconds")
print(f"BootOrder: {{state['order']}}" if state["order"] else "No BootOrder is set; firmware will attempt recovery")
print("\\n".join(state["entries"]))
"""


class FakeFirmware:
    """Attributes that are set are what it does from then on: ``refuses`` an option, ``forgets`` what it was told
    (``next`` or ``entries``), ``pushes_forward`` new entries in the order.
    """

    refuses: str
    forgets: str
    pushes_forward: bool
    changes: list[str]

    def __init__(self, memory: Path) -> None:
        self.__dict__["_memory"] = memory

    @classmethod
    def installed(cls, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> FakeFirmware:
        """First in PATH, with the entries of a text that efibootmgr has printed."""
        memory, programs = folder / "nvram.json", folder / "programs"
        lines = text.splitlines()
        state: dict[str, Any] = {"refuses": "", "forgets": "", "pushes_forward": False, "changes": []}
        state["order"] = next((line.split(": ")[1] for line in lines if line.startswith("BootOrder: ")), "")
        state["next"] = next((line.split(": ")[1] for line in lines if line.startswith("BootNext: ")), "")
        state["entries"] = [line for line in lines if line[:4] == "Boot" and line[8:9] in ("*", " ")]
        memory.write_text(json.dumps(state))
        programs.mkdir(exist_ok=True)
        script = folder / "efibootmgr.py"
        script.write_text(PROGRAM.format(memory=str(memory)))
        # Not by its first line: the path of an interpreter may hold a blank there as little as anywhere else.
        install(programs / "efibootmgr", f'#!/bin/sh\nexec {quote(sys.executable)} {quote(str(script))} "$@"\n')
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        return cls(memory)

    def __getattr__(self, name: str) -> Any:
        return json.loads(self._memory.read_text())[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._memory.write_text(json.dumps({**json.loads(self._memory.read_text()), name: value}))


def install(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)
