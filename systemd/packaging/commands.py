"""The commands of a program, as its own parser has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator


def commands(of: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Each that does something, in the order in which ``--help`` has them."""
    groups = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        helps = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for name, inner in group.choices.items():
            below = (*words, name)
            deeper = list(commands(inner, below))
            yield from deeper or [Command(below, helps.get(name, ""), inner)]


class Command:
    def __init__(self, words: tuple[str, ...], summary: str, parser: argparse.ArgumentParser) -> None:
        self.words = words
        self.summary = summary
        self.description = parser.description or ""
        self._formatter = parser._get_formatter()
        shown = [action for action in parser._actions if action.dest != "help"]
        self.options = [action for action in shown if action.option_strings]
        self.operands = [action for action in shown if not action.option_strings]

    def help(self, action: argparse.Action) -> str:
        """As ``--help`` has it, with the default in it."""
        return self._formatter._expand_help(action) if action.help else ""


def operand(action: argparse.Action) -> str:
    """What stands for its value."""
    if action.nargs == 0:
        return ""
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    return " ".join(name) if isinstance(name, tuple) else name
