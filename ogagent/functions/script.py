"""``EjecutarScript``: a script of ogCore's, as root."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from urllib.parse import unquote

from ogagent import errors
from ogagent.errors import CallerNotAllowed, InvalidField, ScriptFailed
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.functions.plain import Intention, PlainOrder, PlainWork
from ogagent.jobs.work import Claims
from ogagent.model.kind import Kind
from ogagent.model.members import TRACE, Form, Rule, checked, function_name, schema
from ogagent.model.units import KIB
from ogagent.system.account import Account
from ogagent.system.script import LONGEST, run_script, run_script_as

KIND: Final = Kind(
    name="EjecutarScript",
    response="RESPUESTA_EjecutarScript",
    disks=True,
    lasts=True,
    title=lambda _: "the run of a script",
)
_RULES: Final = {
    "nfn": function_name(KIND.name),
    "scp": Rule(
        what="the script, plain or percent-encoded; its first line may name an interpreter, otherwise bash runs it",
        expected="a script",
        fits=lambda text: "\0" not in text,
        forms=({"type": "string", "minLength": 1, "maxLength": LONGEST},),
        required=True,
        longest=LONGEST,
        lines=True,
    ),
    "ids": TRACE,
}
_ENCODED: Final = re.compile(r"(?:[^\s%]|%[0-9A-Fa-f]{2})*%[0-9A-Fa-f]{2}(?:[^\s%]|%[0-9A-Fa-f]{2})*")
_TOLD: Final = 64 * KIB


class EjecutarScript(Function):
    kind: ClassVar[Kind] = KIND
    summary: ClassVar[str] = "Run a script as root; its output and exit status are in the final report"
    schema: ClassVar[Form] = schema(_RULES)
    refusals: ClassVar[Refusals] = (errors.CallerNotAllowed, errors.MachineBusy, errors.Stopping)
    preview: ClassVar[type] = Intention

    def __init__(self, folder: Path, *, enabled: bool = True) -> None:
        """``folder`` is where scripts lie while they run."""
        self._folder = folder
        self._enabled = enabled

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        settings = equipment.settings
        return cls(settings.state.place / "scripts", enabled=settings.machine.script.enabled)

    def order(self, members: Mapping[str, Any], account: Account | None = None) -> PlainOrder:
        """It runs as ``account``, or as root. Raises CallerNotAllowed where scripts are switched off."""
        if not self._enabled:
            raise CallerNotAllowed("this agent runs no scripts", hint="machine.script.enabled is false")
        texts = checked(_RULES, members)
        script = plain(texts["scp"])
        if script is None:
            raise InvalidField("scp is no text when it is decoded", field="scp")
        return PlainOrder(_Work(script, self._folder, texts, account))


def plain(text: str) -> str | None:
    """As ogCore's console sends it, percent-encoded and so without a blank, or as it is. None for what is no UTF-8."""
    if not _ENCODED.fullmatch(text):
        return text
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        return None
    return None if "\0" in decoded else decoded


class _Work(PlainWork):
    def __init__(self, script: str, folder: Path, request: Mapping[str, str], account: Account | None) -> None:
        would = f"run a script of {len(script.splitlines())} lines as {account.name if account else 'root'}"
        super().__init__(KIND, {"ids": request["ids"]}, Claims(machine=True), would)
        self._script = script
        self._folder = folder
        self._account = account

    async def do(self) -> None:
        if self._account is None:
            ended = await run_script(self._script, self._folder / self.progress.job_id, most=_TOLD)
        else:
            ended = await run_script_as(self._account, self._script, most=_TOLD)
        self.own |= {"out": ended.output, "code": str(ended.status)}
        if ended.status:
            raise ScriptFailed(f"The script ended with status {ended.status}", hint="its output says why")
