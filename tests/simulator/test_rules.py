"""What ogCore holds against the reports of one job."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from simulator.ogcore.reports import FinalReport, ProgressReport
from simulator.ogcore.rules import broken_rules

PROGRESS = ProgressReport(
    nfn="RestaurarImagen",
    job_id="RestaurarImagen-dfa42888",
    ids="1",
    progress=41,
    phase="fetching",
    bytes={"image": 1000, "received": 410, "total": None},
    rate=100,
    eta_s=None,
    seq=5,
    event_id="e5",
)
FINAL = FinalReport(
    nfn="RESPUESTA_RestaurarImagen",
    job_id="RestaurarImagen-dfa42888",
    ids="1",
    idi="01936caf-facb-72ad-9446-97e7dbf2b96a",
    dsk="1",
    par="2",
    ifs="1",
    res="1",
    der="",
    cfg=[],
    progress=100,
    seq=9,
    event_id="e9",
    ip="127.0.0.1",
    mac="",
)
FAILED = replace(FINAL, res="2", der="033-The image is corrupt", progress=41)


FORGOTTEN = replace(FINAL, res="2", der="093-The agent was interrupted", progress=0, seq=(1 << 31) - 1)
"""The power took the state directory with it."""


@pytest.mark.parametrize("report", [PROGRESS, replace(PROGRESS, progress=99), FINAL, FAILED, FORGOTTEN])
def test_what_is_right(report: ProgressReport | FinalReport) -> None:
    assert broken_rules(report, progress=None, final=None, last_seq=-1) == []
    before = replace(PROGRESS, seq=2, progress=41)
    assert broken_rules(report, progress=before, final=None, last_seq=2) == []


@pytest.mark.parametrize(
    ("report", "broken"),
    [
        (replace(PROGRESS, progress=100), "progress is 100 before the final report"),
        (replace(PROGRESS, progress=39), "progress went back from 40 to 39"),
        (replace(PROGRESS, seq=4), "report 4 came after report 4"),
        (replace(FAILED, progress=39), "progress went back from 40 to 39"),
        (replace(FINAL, progress=99), "res is '1' with progress 99"),
        (replace(FINAL, der="005-x"), "res is '1' with der '005-x'"),
        (replace(FAILED, progress=100), "res is '2' with progress 100"),
        (replace(FAILED, der=""), "der is '', not a number, a dash and a text"),
        (replace(FAILED, der="33-corrupt"), "der is '33-corrupt', not a number, a dash and a text"),
    ],
)
def test_what_is_wrong(report: ProgressReport | FinalReport, broken: str) -> None:
    before = replace(PROGRESS, seq=4, progress=40)
    assert broken_rules(report, progress=before, final=None, last_seq=4) == [broken]


def test_nothing_comes_after_the_final_report() -> None:
    after = replace(PROGRESS, seq=10)
    assert broken_rules(after, progress=None, final=FINAL, last_seq=9) == ["progress after the final report"]
    second = replace(FAILED, seq=11, event_id="e11")
    broken = broken_rules(second, progress=None, final=FINAL, last_seq=9)
    assert broken == ["a second final report after the final report"]


SCRIPT = FinalReport(
    nfn="RESPUESTA_EjecutarScript", job_id="EjecutarScript-dfa42888", ids="1", res="1", der="", progress=100, seq=9,
    event_id="e9", ip="127.0.0.1", mac="", out="", code="0",
)  # fmt: skip
CONFIGURED = replace(SCRIPT, nfn="RESPUESTA_Configurar", job_id="Configurar-dfa42888", dsk="1")
LOOKED = replace(SCRIPT, nfn="RESPUESTA_Configurar", job_id="Actualizar-dfa42888")


@pytest.mark.parametrize(
    ("report", "broken"),
    [
        (SCRIPT, []),
        (CONFIGURED, []),
        (LOOKED, []),
        (replace(SCRIPT, out=None), ["RESPUESTA_EjecutarScript has no out"]),
        (replace(SCRIPT, out=None, code=None, res="2", der="000-Cancelled", progress=0), []),
        (replace(CONFIGURED, dsk=None), ["RESPUESTA_Configurar has no dsk"]),
        (replace(CONFIGURED, dsk=None, res="2", der="040-x", progress=0), ["RESPUESTA_Configurar has no dsk"]),
        (
            replace(LOOKED, nfn="RESPUESTA_EjecutarScript"),
            ["RESPUESTA_EjecutarScript ends the job Actualizar-dfa42888"],
        ),
        (replace(FINAL, idi=None, ifs=None), [f"RESPUESTA_RestaurarImagen has no {name}" for name in ("idi", "ifs")]),
    ],
)
def test_a_final_report_is_that_of_the_function_and_says_what_it_must(report: FinalReport, broken: list[str]) -> None:
    assert broken_rules(report, progress=None, final=None, last_seq=-1) == broken
