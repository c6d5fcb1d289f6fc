"""Windows systems: what the registry says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ogagent.errors import ToolFailed
from ogagent.model.software import Package, Software, software_text
from ogagent.software.inventory import software_here
from ogagent.software.windows import parse_keys, system_name
from tests.hidden import without
from tests.software.hives import CURRENT, UNINSTALL, UNINSTALL_32, key, make_hive, parents

needs_hivex = pytest.mark.skipif(shutil.which("hivexregedit") is None, reason="hivexregedit is not installed")

CONFIG = "Windows/System32/config"
REGISTRY = (
    parents(UNINSTALL)
    + parents(UNINSTALL_32)
    + parents(CURRENT)
    + key(CURRENT, ProductName="Windows 10 Pro", CurrentBuild="22631", UBR=3155, DisplayVersion="23H2")
    + key(rf"{CURRENT}\Fonts", ProductName="Not this one")
    + key(rf"{UNINSTALL}\{{1}}", DisplayName="LibreOffice 7.6", DisplayVersion="7.6.4.1", EstimatedSize=1)
    + key(rf"{UNINSTALL}\{{2}}", DisplayVersion="no name")
    + key(rf"{UNINSTALL}\{{3}}", DisplayName="Máquina\x1b ñ")
    + key(rf"{UNINSTALL_32}\one", DisplayName="7-Zip", DisplayVersion="23.01")
    + key(rf"{UNINSTALL_32}\two", DisplayName="LibreOffice 7.6", DisplayVersion="7.6.4.1")
)


def windows(root: Path, config: str = CONFIG, registry: str = REGISTRY) -> Path:
    (root / config).mkdir(parents=True)
    make_hive(root / config / "SOFTWARE", registry)
    return root


@needs_hivex
@pytest.mark.parametrize("config", [CONFIG, "WINDOWS/system32/Config"])
async def test_both_views(tmp_path: Path, config: str) -> None:
    found = await software_here(windows(tmp_path, config))
    assert found.notes == ()
    assert software_text(found).splitlines() == [
        "Windows 11 Pro 23H2 (22631.3155)",
        "7-Zip 23.01",
        "LibreOffice 7.6 7.6.4.1",
        "Máquina? ñ",
    ]


@needs_hivex
async def test_windows_with_nothing_in_it(tmp_path: Path) -> None:
    assert await software_here(windows(tmp_path, registry="")) == Software()


@needs_hivex
@pytest.mark.parametrize("content", [b"", b"regf" + b"\xff" * 8188])
async def test_a_damaged_hive(tmp_path: Path, content: bytes) -> None:
    windows(tmp_path)
    (tmp_path / CONFIG / "SOFTWARE").write_bytes(content)
    with pytest.raises(ToolFailed, match="hivexregedit"):
        await software_here(tmp_path)


async def test_a_hive_that_is_none_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / CONFIG).mkdir(parents=True)
    os.mkfifo(tmp_path / CONFIG / "SOFTWARE")
    assert (await software_here(tmp_path)).notes == ("no system was found",)


@needs_hivex
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_package_to_install_is_named(tmp_path: Path) -> None:
    (tmp_path / CONFIG).mkdir(parents=True)
    (tmp_path / CONFIG / "SOFTWARE").write_bytes(b"regf")
    (tmp_path / "scratch").mkdir()
    script = (
        "import asyncio, sys; from pathlib import Path; from ogagent.software.inventory import software_here\n"
        "from ogagent.errors import ToolMissing\n"
        "try: asyncio.run(software_here(Path(sys.argv[1])))\n"
        "except ToolMissing as error: print(error.message, error.hint)"
    )
    command = without("hivexregedit", tmp_path / "scratch", sys.executable, "-c", script, str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "hivexregedit is not installed apt install libwin-hivex-perl", done.stderr


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({}, ""),
        ({"ProductName": "Windows 7 Professional"}, "Windows 7 Professional"),
        (
            {"ProductName": "Windows 10 Pro", "CurrentBuild": "19045", "ReleaseId": "2009"},
            "Windows 10 Pro 2009 (19045)",
        ),
        ({"ProductName": "Windows 10 Pro", "CurrentBuild": "22000"}, "Windows 11 Pro (22000)"),
        ({"ProductName": "Windows 10 Pro", "CurrentBuild": "9" * 5000}, None),
        ({"ProductName": "Windows", "CurrentBuild": "²"}, "Windows (²)"),
    ],
)
def test_the_name_of_windows(key: dict[str, str], expected: str | None) -> None:
    name = system_name(key)
    assert len(name) <= 128
    if expected is not None:
        assert name == expected


def test_what_is_no_value_is_passed_over() -> None:
    text = '[a]\n@="x"\n"A"=hex(1):4\n"B"=hex(1):41,00,d8\n"C"=hex(7):41,00\n"D"=dword:0000000g\n"E"="text"\nnonsense\n'
    assert list(parse_keys(text)) == [{}, {"A": "", "B": "A"}]
    assert Package("A") < Package("B")
