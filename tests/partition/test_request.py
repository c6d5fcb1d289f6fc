"""What ``Configurar`` may say, and what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.errors import InvalidField, MissingField, Refusal
from ogagent.model.units import KIB
from ogagent.partition.kinds import CACHE, EMPTY, EXTENDED, kind_of
from ogagent.partition.request import CONFIGURE_SCHEMA, ConfigureRequest, configure_request
from tests.partition.disks import asked, disk, own_rows, partition

STRING: Final = (
    "ttp=GPT*dis=1*che=1*tch=204800!par=1*cpt=EFI*sfi=FAT32*tam=102400*ope=1%par=2*cpt=LINUX*sfi=EXT4*tam=0*ope=1%"
)


def test_opengnsys_own_words() -> None:
    request = asked(STRING, ids="7", nfn="Configurar")
    first, second = request.rows

    assert (request.dsk, request.table, request.cache, request.cache_size, request.ids) == (
        1,
        "gpt",
        True,
        204800 * KIB,
        "7",
    )
    assert (first.number, first.kind.name, first.filesystem, first.size, first.format) == (
        *(1, "EFI", "FAT32"),
        *(102400 * KIB, True),
    )
    assert (second.number, second.size) == (2, None)


_numbers = st.integers(1, 128).map(str)
_sizes = st.integers(0, 1 << 40).map(str)
_row = st.fixed_dictionaries(
    {"par": _numbers, "cpt": st.sampled_from(["LINUX", "NTFS", "83", "8300", "7", "CACHE", "EMPTY"])},
    optional={"sfi": st.sampled_from(["EXT4", "NTFS", "EMPTY"]), "tam": _sizes, "ope": st.sampled_from("01")},
)
_head = st.fixed_dictionaries(
    {"dis": st.just("1")},
    optional={"ttp": st.sampled_from(["GPT", "MSDOS"]), "che": st.sampled_from("01"), "tch": _sizes},
)


_validator = jsonschema_rs.validator_for(dict(CONFIGURE_SCHEMA))


@given(_head, st.lists(_row, max_size=6))
def test_the_schema_knows_what_is_understood(head: dict[str, str], rows: list[dict[str, str]]) -> None:
    for cfg in (_words(head, rows), [head, *rows], {**head, "partitions": rows}):
        assert _validator.is_valid({"dsk": "1", "cfg": cfg})
    assert not _validator.is_valid({"dsk": "1"})
    assert not _validator.is_valid({"dsk": "1", "cfg": [{"par": "x"}]})


def _words(head: Mapping[str, str], rows: list[dict[str, str]]) -> str:
    def members(of: Mapping[str, str]) -> str:
        return "*".join(f"{name}={value}" for name, value in of.items())

    return members(head) + "!" + "".join(members(row) + "%" for row in rows)


@given(_head, st.lists(_row, max_size=6))
def test_all_forms_of_one_thing_agree(head: dict[str, str], rows: list[dict[str, str]]) -> None:
    meant = asked(_words(head, rows))

    assert asked([head, *rows]) == meant
    assert asked([{**head, "par": None}, *rows]) == meant
    assert asked({**head, "partitions": rows}) == meant
    assert asked(json.dumps([head, *rows])) == meant
    assert asked([*rows, head]) == meant
    assert asked([head, *({**row, "par": int(row["par"])} for row in rows)]) == meant


def test_rows_of_an_inventory_are_understood_and_those_of_other_disks_left_out() -> None:
    first = disk(partition(1, 1, 100, "83"), partition(2, 200, 300, "f"), table="msdos")
    other = [{**row, "disk": "2"} for row in own_rows(first)]
    request = asked([*own_rows(first), *other])

    assert request.table == "msdos"
    assert [(row.number, row.kind.msdos, row.format) for row in request.rows] == [
        (1, ("83",), False),
        (2, EXTENDED.msdos, False),
    ]


@pytest.mark.parametrize(
    ("cfg", "error", "field"),
    [
        (None, MissingField, "cfg"),
        ("", MissingField, "cfg"),
        ([], MissingField, "cfg"),
        (7, InvalidField, "cfg"),
        ("x" * 40000, InvalidField, "cfg"),
        ([["par"]], InvalidField, "cfg"),
        ("{", InvalidField, "cfg"),
        ("[" * 30000, InvalidField, "cfg"),
        ("dis=1!par", InvalidField, "cfg"),
        ("dis=1!par=1*par=2*cpt=LINUX", InvalidField, "cfg"),
        ("dis=2!par=1*cpt=LINUX", InvalidField, "dis"),
        ("ttp=APM*dis=1!par=1*cpt=LINUX", InvalidField, "ttp"),
        ("dis=1*che=yes!", InvalidField, "che"),
        ("dis=1*che=1*tch=-1!", InvalidField, "tch"),
        ("dis=1!cpt=LINUX*tam=0", MissingField, "par"),
        ("dis=1!par=1*tam=0", MissingField, "cpt"),
        ("dis=1!par=0*cpt=LINUX", InvalidField, "par"),
        ("dis=1!par=x*cpt=LINUX", InvalidField, "par"),
        ("dis=1!par=1*cpt=NONSENSE", InvalidField, "cpt"),
        ("dis=1!par=1*cpt=$(reboot)", InvalidField, "cpt"),
        ("dis=1!par=1*cpt=LINUX*tam=1e9", InvalidField, "tam"),
        ("dis=1!par=1*cpt=LINUX*tam=99999999999999", InvalidField, "tam"),
        ("dis=1!par=1*cpt=LINUX*ope=2", InvalidField, "ope"),
        ("dis=1!par=1*cpt=LINUX*sfi=;reboot", InvalidField, "sfi"),
        ([{"ttp": "GPT"}, {"ttp": "MSDOS"}], InvalidField, "ttp"),
        ([{"par": True, "cpt": "LINUX"}], InvalidField, "par"),
        ([{"par": "1", "cpt": "LINUX", "sfi": "\ud800"}], InvalidField, "sfi"),
        ([{"disk": "2", "par": "1", "cpt": "83"}], MissingField, "cfg"),
    ],
)
def test_what_is_wrong_is_named(cfg: object, error: type[Refusal], field: str) -> None:
    with pytest.raises(error) as refused:
        asked(cfg)
    assert refused.value.field == field


@pytest.mark.parametrize(("dsk", "error"), [(None, MissingField), ("0", InvalidField), ("x", InvalidField)])
def test_the_disk_is_a_number(dsk: object, error: type[Refusal]) -> None:
    with pytest.raises(error) as refused:
        configure_request({"dsk": dsk, "cfg": STRING})
    assert refused.value.field == "dsk"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["par", "cpt", "tam", "partitions"]), inner)
    ),
)


@given(_json | st.text(alphabet="parcptm=*!%0123LINUXEdis", max_size=80))
def test_nothing_but_a_request_or_a_refusal(cfg: object) -> None:
    with suppress(Refusal):
        assert isinstance(asked(cfg), ConfigureRequest)


@pytest.mark.parametrize(
    ("text", "msdos", "gpt"),
    [
        ("83", "83", "8300"),
        ("8300", "83", "8300"),
        ("7", "7", "0700"),
        ("07", "7", "0700"),
        ("c", "c", "0700"),
        ("LINUX-SWAP", "82", "8200"),
        ("linux", "83", "8300"),
        ("EF02", "", "EF02"),
        ("bios-boot", "", "EF02"),
        ("0000", "", ""),
        ("5", "f", ""),
    ],
)
def test_codes_and_names_in_both_tables(text: str, msdos: str, gpt: str) -> None:
    kind = kind_of(text)
    assert kind is not None
    assert (kind.code("msdos"), kind.code("gpt")) == (msdos, gpt)


@pytest.mark.parametrize(
    ("text", "kind"), [("ca", CACHE), ("CA00", CACHE), ("0", EMPTY), ("85", EXTENDED), ("xyz", None), ("12345", None)]
)
def test_kinds_that_are_treated_as_such(text: str, kind: object) -> None:
    assert kind_of(text) is kind
