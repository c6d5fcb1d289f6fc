"""What machines are made of, by what their kernels and their firmware say."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.hardware.dmi import parse_modules
from ogagent.hardware.inventory import read_hardware
from ogagent.model.hardware import Component, Hardware, HardwareCode, hardware_text
from tests.hardware.conftest import Lay, put

OPTIPLEX = """\
cha=Desktop
boo=UEFI
mod=Dell Inc. OptiPlex 7070
boa=Dell Inc. 0YNVJG v.A01
bio=Dell Inc. BIOS v.1.20.0 09/12/2023
cpu=Intel(R) Core(TM) i5-9500 CPU @ 3.00GHz x6
mem=Samsung M378A2K43CB1-CTD 16.0 GiB 2666 MT/s (DIMM1)
mem=64.0 GiB (DIMM2)
mem=Kingston KB 512.0 KiB 400 MT/s (ROM0)
vga=Intel Corporation CoffeeLake-S GT2 [UHD Graphics 630]
usb=Intel Corporation Cannon Lake PCH USB 3.1 xHCI Host Controller
sto=Intel Corporation Cannon Lake PCH SATA AHCI Controller
aud=Intel Corporation Cannon Lake PCH cAVS
bus=Intel Corporation Cannon Lake PCH SMBus Controller
net=Intel Corporation Ethernet Connection (7) I219-LM
sto=Samsung Electronics Co Ltd NVMe SSD Controller SM981/PM981/PM983
fir=11c1 5901
mul=Philips Semiconductors 7160
usb=Logitech USB Keyboard
usb=Dell Computer Corp. Dell MS116 Optical Mouse
dis=PM981 NVMe Samsung 512GB 476.9 GiB v.15302129
dis=ST500DM002-1BD14 465.8 GiB v.KC47
cdr=HL-DT-ST DVD+-RW GU90N v.A1C2"""

OLD = """\
cha=Laptop
boo=BIOS
boa=ASUSTeK Computer INC. P5QL-EM v.Rev X.0x
bio=American Megatrends Inc. BIOS v.0603 06/22/2009
cpu=Pentium(R) Dual-Core CPU E5200 @ 2.50GHz x2
mem=2.0 GiB
ide=8086 3a20
aud=1102 0002
net=168c 0013
dis=SL08G 7.4 GiB
dis=ST3160815AS 149.1 GiB"""

VIRTUAL = """\
cha=Unknown
boo=BIOS
cpu=AMD EPYC x2
mem=23.5 GiB
sto=1af4 1042
net=1af4 1041
dis=vda 256.0 GiB"""

MACHINES = {"optiplex-uefi": OPTIPLEX, "old-bios": OLD, "virtual-without-dmi": VIRTUAL}


@pytest.mark.parametrize(("machine", "expected"), MACHINES.items(), ids=MACHINES)
def test_a_machine(lay: Lay, machine: str, expected: str) -> None:
    assert hardware_text(read_hardware(lay(machine))) == expected


def test_sizes_are_numbers(lay: Lay) -> None:
    told = msgspec.json.decode(msgspec.json.encode(read_hardware(lay("optiplex-uefi"))))
    (disk,) = [each for each in told["components"] if each["name"] == "ST500DM002-1BD14"]
    assert (disk["code"], disk["size"]) == ("dis", 500107862016)
    (module,) = [each for each in told["components"] if each.get("place") == "DIMM1"]
    assert (module["size"], module["speed"]) == (16 << 30, 2666)


def test_serial_numbers_are_nobodys_business(lay: Lay) -> None:
    text = hardware_text(read_hardware(lay("optiplex-uefi")))
    assert "5ABCDE1" not in text
    assert "SERIAL" not in text


def test_names_are_found_where_others_have_them(lay: Lay) -> None:
    root = lay("old-bios")
    put(root, "usr/share/hwdata/pci.ids", "8086  Intel Corporation\n\t3a20  82801JI (ICH10 Family) 4 port SATA IDE\n")
    assert "\nide=Intel Corporation 82801JI (ICH10 Family) 4 port SATA IDE\n" in hardware_text(read_hardware(root))


def test_nothing_at_all(tmp_path: Path) -> None:
    assert hardware_text(read_hardware(tmp_path)) == "cha=Unknown\nboo=BIOS"


def test_this_machine() -> None:
    found = read_hardware()
    assert [component.code for component in found.components[:2]] == ["cha", "boo"]
    assert {"cpu", "mem"} <= {component.code for component in found.components}
    assert {component.code for component in found.components} <= set(get_args(HardwareCode))


@pytest.mark.parametrize("number", ["0", "1", "36", "37", "128", "-1", "x", "9" * 4000, ""])
def test_a_chassis_of_any_number_is_a_line(tmp_path: Path, number: str) -> None:
    put(tmp_path, "sys/class/dmi/id/chassis_type", number)
    names = {"1": "Other", "36": "Stick PC"}
    assert hardware_text(read_hardware(tmp_path)).splitlines()[0] == f"cha={names.get(number, 'Unknown')}"


def garble(file: Path, dice: random.Random) -> None:
    kind = dice.choice(("noise", "control", "endless", "number", "gone", "folder", "ring"))
    if kind == "endless":
        os.truncate(file, 1 << 33)
        return
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "ring":
        file.symlink_to(file.name)
    elif kind != "gone":
        content = {"noise": dice.randbytes(100), "control": b"\x1b]0;\r\n=\xff" * 2000, "number": b"-" + b"9" * 300}
        file.write_bytes(content[kind])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", range(20))
def test_an_odd_file_costs_no_more_than_what_it_tells_of(lay: Lay, machine: str, seed: int) -> None:
    root = lay(machine)
    dice = random.Random(seed)
    files = sorted(path for path in (root / "sys").rglob("*") if path.is_file())
    odd = dice.sample(files, 3)
    for file in odd:
        garble(file, dice)
    lines = hardware_text(read_hardware(root)).split("\n")
    expected = MACHINES[machine].split("\n")
    assert all(line.isprintable() and len(line) < 700 for line in lines)
    assert all(line[:4] in {f"{code}=" for code in get_args(HardwareCode)} for line in lines)
    modules = sum(line.startswith("mem=") for line in expected) if any(file.name == "DMI" for file in odd) else 0
    assert len(set(expected) - set(lines)) <= len(odd) + modules


def test_no_machine_has_so_much(tmp_path: Path) -> None:
    for number in range(1500):
        put(tmp_path, f"sys/block/sd{number}/size", "2048")
        put(tmp_path, f"sys/block/sd{number}/device/model", "x" * 5000)
    found = read_hardware(tmp_path)
    assert len(found.components) == 2 + 512
    assert max(len(component.name) for component in found.components) == 128


@given(st.binary(max_size=2000))
def test_any_table_of_the_firmware(tables: bytes) -> None:
    assert all(module.code == "mem" for module in parse_modules(tables))


@given(st.lists(st.tuples(st.sampled_from((17, 17, 1, 127)), st.binary(max_size=60), st.binary(max_size=40))))
def test_any_table_that_looks_like_one(structures: list[tuple[int, bytes, bytes]]) -> None:
    tables = b"".join(bytes((kind, 4 + len(body))) + bytes(2) + body + text for kind, body, text in structures)
    for module in parse_modules(tables + bytes(2)):
        assert module.size
        assert (module.name + module.vendor + module.place).isprintable()


def test_a_value_as_text() -> None:
    part = Component(code="mem", name="n", vendor="v", version="1", size=1 << 30, count=2, place="slot", speed=3200)
    assert hardware_text(Hardware(components=(part,))) == "mem=v n 1.0 GiB 3200 MT/s v.1 (slot) x2"
