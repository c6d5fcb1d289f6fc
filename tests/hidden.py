"""A program that is not installed, though it is."""

from __future__ import annotations

from pathlib import Path


def without(program: str, scratch: Path, *command: str) -> list[str]:
    """The command in a namespace of mounts where the folders of programs hold all others; its tail may grow."""
    steps = ["set -e"]
    for number, folder in enumerate(
        sorted({Path(each).resolve() for each in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")})
    ):
        if (folder / program).exists():
            there, links = scratch / f"there{number}", scratch / f"links{number}"
            there.mkdir()
            links.mkdir()
            steps.append(f"mount --bind {folder} {there}; ln -s {there}/* {links}; rm {links}/{program}")
            steps.append(f"mount --bind {links} {folder}")
    return ["unshare", "--mount", "sh", "-c", "\n".join([*steps, 'exec "$@"']), "sh", *command]
