"""What bash completes: commands, their options, and files."""

from __future__ import annotations

from systemd.packaging.commands import commands
from systemd.packaging.programs import Program

_SCRIPT = """# Made from the commands of {name} by python -m systemd.packaging.
_{name}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} place=${{COMP_WORDS[*]:1:COMP_CWORD-1}} words=
    case "$place" in
        '') words='{first}' ;;
{cases}
    esac
    if [[ $current == -* || $words != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
    [[ ${{#COMPREPLY[@]}} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}
complete -o filenames -F _{name} {name}
"""


def script(program: Program) -> str:
    all_of_them = list(commands(program.parser()))
    first = dict.fromkeys(command.words[0] for command in all_of_them)
    groups: dict[str, list[str]] = {}
    for command in all_of_them:
        if len(command.words) > 1:
            groups.setdefault(" ".join(command.words[:-1]), []).append(command.words[-1])
    cases = [f"        '{group}') words='{' '.join(names)}' ;;" for group, names in groups.items()]
    for command in all_of_them:
        options = " ".join(option for action in command.options for option in action.option_strings)
        cases.append(f"        '{' '.join(command.words)}'*) words='{options}' ;;")
    return _SCRIPT.format(name=program.name, first=" ".join([*first, "--help", "--version"]), cases="\n".join(cases))
