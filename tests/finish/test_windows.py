"""A restored Windows: which one it is, the name of the computer, and the letter of its drive."""

from __future__ import annotations

import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.errors import NotReady
from ogagent.finish.drive import GptPlace, MsdosPlace, Place
from ogagent.finish.hive import copied
from ogagent.finish.reg_text import Change, Value, Values, text_value
from ogagent.finish.step import Step
from ogagent.finish.windows import (
    ComputerName,
    LetterDrive,
    NameComputer,
    WindowsSystem,
    computer_name,
    drive_id,
    look,
)
from tests.finish.folder import Folder
from tests.finish.windows_twin import (
    DEFAULT_SETS,
    MODEL_GPT_ID,
    MODEL_ID,
    MODEL_SIGNATURE,
    MODEL_START,
    SYSTEM,
    Content,
    control_set,
    key,
    make_windows,
    mounted,
    needs_hivex,
    tree,
)

HERE = MsdosPlace(0x11223344, 500 << 20)
HERE_GPT = GptPlace(UUID("00112233-4455-6677-8899-aabbccddeeff"), UUID("12345678-9abc-def0-1234-56789abcdef0"))
NAME = ComputerName("Aula1-pc07")
FOUND = WindowsSystem(name="Windows", hive=SYSTEM)
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


async def values(files: Folder, work: Path, path: str) -> Values | None:
    async with copied(files, SYSTEM, work) as hive:
        return await hive.values(path)


async def finish(step: Step) -> None:
    """As whoever goes through the steps does; once more there is nothing to do."""
    assert await step.needed()
    await step.do()
    await step.proof()
    assert not await step.needed()


# --- which one it is ----------------------------------------------------------------------------------------------


@needs_hivex
@pytest.mark.parametrize(
    ("software", "name", "letter"),
    [
        (
            {
                "ProductName": "Windows 10 Pro",
                "CurrentBuild": "22631",
                "UBR": 3155,
                "DisplayVersion": "23H2",
                "SystemRoot": r"C:\Windows",
            },
            "Windows 11 Pro 23H2 (22631.3155)",
            "C",
        ),
        ({"ProductName": "Windows 7 Professional", "SystemRoot": r"d:\Windows"}, "Windows 7 Professional", "D"),
        ({"SystemRoot": "Windows"}, "Windows", "C"),
        (None, "Windows", "C"),
    ],
)
async def test_which_windows(
    tmp_path: Path, work: Path, software: Mapping[str, Content] | None, name: str, letter: str
) -> None:
    root = make_windows(tmp_path / "root", software=software)
    assert await look(Folder(root), work) == WindowsSystem(name=name, hive=SYSTEM, letter=letter)


@needs_hivex
async def test_a_version_that_cannot_be_told_is_no_failure(tmp_path: Path, work: Path) -> None:
    root = make_windows(tmp_path / "root", software={})
    (root / "Windows/System32/config/SOFTWARE").write_bytes(b"regf")
    assert await look(Folder(root), work) == FOUND


async def test_its_names_have_no_case(tmp_path: Path, work: Path) -> None:
    (tmp_path / "root/WINDOWS/system32/Config").mkdir(parents=True)
    for name in ("NTOSKRNL.EXE", "Config/system"):
        (tmp_path / "root/WINDOWS/system32" / name).touch()
    found = await look(Folder(tmp_path / "root"), work)
    assert found == WindowsSystem(name="Windows", hive="WINDOWS/system32/Config/system")


@pytest.mark.parametrize("missing", ["Windows/System32/ntoskrnl.exe", SYSTEM, "Windows"])
async def test_no_windows(tmp_path: Path, work: Path, missing: str) -> None:
    (tmp_path / "root/Windows/System32/config").mkdir(parents=True)
    (tmp_path / "root" / SYSTEM).touch()
    (tmp_path / "root/Windows/System32/ntoskrnl.exe").touch()
    gone = tmp_path / "root" / missing
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    assert await look(Folder(tmp_path / "root"), work) is None


# --- its name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("pc07", "pc07"),
        ("pc07.aula.example.org", "pc07"),
        ("exactly15letter", "exactly15letter"),
        ("aula-informatica-01", "aula-informa-01"),
        ("aula-informatica-02", "aula-informa-02"),
        ("laboratorio12345", "laboratori12345"),
        ("a-name-that-is-too-long", "a-name-that-is"),
        ("under_score", "under-score"),
        ("-pc-", "pc"),
        ("máquina", "m-quina"),
        ("a12345678901234567890", "a12345674567890"),
    ],
)
def test_a_computer_name(host: str, name: str) -> None:
    made = computer_name(host)
    assert made.name == name
    assert bool(made.warning) is (name != host.partition(".")[0])


@pytest.mark.parametrize("host", ["", "12345", "...", "---", "12345678901234567", "123456789012345-x"])
def test_what_no_computer_can_be_called(host: str) -> None:
    with pytest.raises(NotReady, match="no computer name"):
        computer_name(host)


@unhurried
@given(st.text(max_size=40))
def test_every_computer_name_is_one(host: str) -> None:
    try:
        name = computer_name(host).name
    except NotReady:
        return
    assert 1 <= len(name) <= 15
    assert set(name) <= {*string.ascii_letters, *string.digits, "-"}
    assert not name.isdigit()
    assert name.strip("-") == name
    assert computer_name(name) == ComputerName(name)


@unhurried
@given(st.text(string.ascii_lowercase, min_size=1, max_size=30), st.sets(st.integers(1, 999), min_size=2))
def test_names_that_differ_in_their_number_stay_different(room: str, numbers: set[int]) -> None:
    assert len({computer_name(f"{room}-{number:03d}").name for number in numbers}) == len(numbers)


@needs_hivex
async def test_the_names_in_every_control_set(tmp_path: Path, work: Path) -> None:
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + control_set(2) + mounted()))
    await finish(NameComputer(files, FOUND, work, NAME))
    for number in (1, 2):
        names = await values(files, work, rf"\ControlSet{number:03d}\Control\ComputerName\ComputerName")
        assert names == {"": text_value("mnmsrvc"), "computername": text_value("AULA1-PC07")}
        assert await values(files, work, rf"\ControlSet{number:03d}\Services\Tcpip\Parameters") == {
            "hostname": text_value("Aula1-pc07"),
            "nv hostname": text_value("Aula1-pc07"),
            "icsdomain": text_value("mshome.net"),
            "máquina": Value(4, b"\7\0\0\0"),
        }
    assert files.replaced == [SYSTEM]


@needs_hivex
async def test_a_control_set_that_is_not_complete(tmp_path: Path, work: Path) -> None:
    """Only the one that Windows starts with has to be."""
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + key(r"\ControlSet002")))
    await finish(NameComputer(files, FOUND, work, NAME))
    broken = Folder(make_windows(tmp_path / "broken", key(r"\Select", {"Default": 1}) + key(r"\ControlSet001")))
    with pytest.raises(NotReady, match=r"has no \\ControlSet001\\Control"):
        await NameComputer(broken, FOUND, work, NAME).needed()
    assert broken.replaced == []


@needs_hivex
@pytest.mark.parametrize(
    ("system", "why"),
    [
        (key(r"\Select", {"Default": 3}) + control_set(1), "has no .ControlSet003"),
        (control_set(1), "does not say which control set"),
        (key(r"\Select", {"Default": "1"}) + control_set(1), "does not say which control set"),
    ],
)
async def test_no_control_set_to_start_with(tmp_path: Path, work: Path, system: str, why: str) -> None:
    files = Folder(make_windows(tmp_path / "root", system))
    with pytest.raises(NotReady, match=why):
        await NameComputer(files, FOUND, work, NAME).needed()


@needs_hivex
async def test_one_name_that_is_missing_is_needed(tmp_path: Path, work: Path) -> None:
    parameters = r"\ControlSet001\Services\Tcpip\Parameters"
    for number, missing in enumerate(("Hostname", "NV Hostname", "ComputerName")):
        place = r"\ControlSet001\Control\ComputerName\ComputerName" if missing == "ComputerName" else parameters
        files = Folder(make_windows(tmp_path / str(number), DEFAULT_SETS))
        await finish(NameComputer(files, FOUND, work, NAME))
        async with copied(files, SYSTEM, work) as hive:
            await hive.merge([Change(place, missing, None)])
            await hive.put_back()
        step = NameComputer(files, FOUND, work, NAME)
        with pytest.raises(NotReady, match=f"does not hold what was written: .*{missing}"):
            await step.proof()
        await finish(step)


@needs_hivex
async def test_a_name_that_was_cut_is_warned_of_once(
    tmp_path: Path, work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = Folder(make_windows(tmp_path / "root"))
    step = NameComputer(files, FOUND, work, computer_name("aula-informatica-01"))
    await finish(step)
    assert step.warnings == ("Windows cannot be called 'aula-informatica-01', and is called aula-informa-01",)
    assert [each.getMessage() for each in caplog.records if each.name.startswith("ogagent.")] == [
        f"computer name: {step.warnings[0]}"
    ]
    assert (step.name, step.would) == ("computer name", "Windows calls the computer aula-informa-01")


# --- its drive ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "packed"),
    [
        (MsdosPlace(MODEL_SIGNATURE, MODEL_START), MODEL_ID),
        (HERE_GPT, b"DMIO:ID:" + bytes.fromhex("78563412bc9af0de123456789abcdef0")),
    ],
)
def test_a_partition_as_windows_names_it(place: Place, packed: bytes) -> None:
    assert place.unique_id == packed


@needs_hivex
@pytest.mark.parametrize("here", [HERE, HERE_GPT])
@pytest.mark.parametrize("model", [MODEL_ID, MODEL_GPT_ID, None])
async def test_the_drive_keeps_its_letter(tmp_path: Path, work: Path, here: Place, model: bytes | None) -> None:
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + mounted(model, E=b"another")))
    assert await drive_id(files, FOUND, work) == model
    await finish(LetterDrive(files, FOUND, work, here))
    assert await drive_id(files, FOUND, work) == here.unique_id
    found = await values(files, work, r"\MountedDevices") or {}
    assert found.pop(r"\dosdevices\c:") == Value(3, here.unique_id)
    assert found.pop(r"\dosdevices\e:") == Value(3, b"another")
    assert list(found) == [r"\??\volume{f95cc040-a528-11de-bbbb-806e6f6e6963}"]


@needs_hivex
async def test_no_other_letter_names_the_same_partition(tmp_path: Path, work: Path) -> None:
    stale = mounted(MODEL_ID, D=HERE.unique_id, E=b"another")
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + stale))
    await finish(LetterDrive(files, FOUND, work, HERE))
    found = await values(files, work, r"\MountedDevices") or {}
    letters = {name: value.data for name, value in found.items() if name.startswith(r"\dosdevices")}
    assert letters == {r"\dosdevices\c:": HERE.unique_id, r"\dosdevices\e:": b"another"}


@needs_hivex
async def test_another_letter_than_c(tmp_path: Path, work: Path) -> None:
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + mounted(b"data", D=MODEL_ID)))
    system = WindowsSystem(name="", hive=SYSTEM, letter="D")
    assert await drive_id(files, system, work) == MODEL_ID
    step = LetterDrive(files, system, work, HERE)
    await finish(step)
    assert await drive_id(files, system, work) == HERE.unique_id
    assert await drive_id(files, FOUND, work) == b"data"
    assert (step.name, step.would) == ("drive letter", "D: is the partition where Windows is now")


@needs_hivex
async def test_a_registry_that_has_forgotten_its_drives(tmp_path: Path, work: Path) -> None:
    files = Folder(make_windows(tmp_path / "root", DEFAULT_SETS + tree(r"\Setup")))
    assert await drive_id(files, FOUND, work) is None
    await finish(LetterDrive(files, FOUND, work, HERE))
    assert await values(files, work, r"\MountedDevices") == {r"\dosdevices\c:": Value(3, HERE.unique_id)}
