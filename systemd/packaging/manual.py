"""The pages of the manual, ogagent(1), ogsim(1) and ogagent.toml(5): made from what programs and configuration say of
themselves. In the macros of man(7).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from systemd.packaging.commands import Command, commands, operand
from systemd.packaging.programs import Program

_SETTINGS: Final = Path(__file__).parents[1] / "ogagent.toml"
_KEY: Final = re.compile(r"([a-z_.]+) = (.*)")
_SECTION: Final = re.compile(r"\[([a-z]+)\]")


def of_program(program: Program, version: str, day: str) -> str:
    lines = [*_head(program.name, "1", version, day), *_section("NAME"), f"{program.name} \\- {program.title}"]
    lines += [*_section("SYNOPSIS"), f".B {program.name}", ".I COMMAND", "[\\fIoptions\\fR]"]
    lines += [*_section("DESCRIPTION"), _text(program.about), *_section("COMMANDS")]
    for command in commands(program.parser()):
        lines += _command(program.name, command)
    lines += [*_section("EXIT STATUS"), *_list(program.statuses), *_section("FILES"), *_list(program.files)]
    see = ", ".join(f"{name}({section})" for name, section in program.see.items())
    return "\n".join([*lines, *_section("SEE ALSO"), _text(see)]) + "\n"


def of_settings(version: str, day: str) -> str:
    name = r"ogagent.toml \- configuration of the OpenGnsys agent"
    lines = [*_head("ogagent.toml", "5", version, day), *_section("NAME"), name]
    lines += [*_section("SYNOPSIS"), ".I /etc/ogagent/ogagent.toml", *_section("DESCRIPTION")]
    return (
        "\n".join([*lines, *_settings(_SETTINGS.read_text("utf-8")), *_section("SEE ALSO"), ".BR ogagent (1)"]) + "\n"
    )


def _head(name: str, section: str, version: str, day: str) -> Iterator[str]:
    yield f'.TH {name.upper()} {section} "{day}" "ogagent {version}" "OpenGnsys"'


def _section(title: str) -> Iterator[str]:
    yield f'.SH "{title}"'


def _list(entries: Mapping[str, str]) -> Iterator[str]:
    for name, text in entries.items():
        yield from (".TP", f".B {_text(name)}", _text(text))


def _command(program: str, command: Command) -> Iterator[str]:
    operands = " ".join(f"\\fI{_text(operand(action))}\\fR" for action in command.operands)
    yield f'.SS "{program} {" ".join(command.words)}"'
    yield f"\\fB{program} {' '.join(command.words)}\\fR [\\fIoptions\\fR] {operands}".strip()
    yield ".PP"
    yield _text(_sentence(command.description or command.summary))
    for action in [*command.operands, *command.options]:
        if action.help or action.option_strings:
            yield ".TP"
            yield _heading(action)
            yield _text(_sentence(command.help(action))) or "\\&"


def _heading(action: argparse.Action) -> str:
    value = f"\\fI{_text(operand(action))}\\fR" if operand(action) else ""
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in action.option_strings)
    return f"{names} {value}".strip() + (" (required)" if action.option_strings and action.required else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


def _settings(text: str) -> Iterator[str]:
    """A comment belongs to the key, or to the section, that follows it."""
    said: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            said.append(line.removeprefix("#").strip())
        elif found := _SECTION.fullmatch(line):
            yield from [*_spoken(said), f'.SH "[{found[1]}]"']
        elif found := _KEY.fullmatch(line):
            yield from (".TP", f"\\fB{_text(found[1])}\\fR = {_text(found[2])}")
            yield from _spoken(said) or ["\\&"]
        elif not line:
            yield from _spoken(said)


def _spoken(said: list[str]) -> list[str]:
    lines = [_text(line) for line in said]
    said.clear()
    return lines


def _text(plain: str) -> str:
    """As it stands: what man(7) would take for a request, a font or a hyphen is not."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())
