"""The reports that an agent posts to the webhook, in the shape that ogCore insists on."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=2000)]
LongText = Annotated[str, Meta(max_length=1 << 19)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{8,128}\Z")]
"""In hexadecimal; which one it is, its length tells."""
Percent = Annotated[int, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0)]
Phase = Literal[
    "checking", "fetching", "flushing", "reading-back", "reducing", "capturing", "verifying", "partitioning",
    "formatting", "committing", "finishing", "caching", "growing", "running",
]  # fmt: skip
Function = Literal[
    "RestaurarImagen", "CrearImagen", "Configurar", "InventarioHardware", "InventarioSoftware", "EjecutarScript",
    "IniciarSesion", "Reiniciar", "Apagar", "Actualizar",
]  # fmt: skip
Response = Literal[
    "RESPUESTA_RestaurarImagen", "RESPUESTA_CrearImagen", "RESPUESTA_Configurar", "RESPUESTA_InventarioHardware",
    "RESPUESTA_InventarioSoftware", "RESPUESTA_EjecutarScript", "RESPUESTA_IniciarSesion", "RESPUESTA_Reiniciar",
    "RESPUESTA_Apagar",
]  # fmt: skip
"""The look at the disks ends as a change of them does."""

RESTORE: Final = "RestaurarImagen"
CREATE: Final = "CrearImagen"
SUCCEEDED: Final = "1"
CANCELLED: Final = "000-Cancelled"
_RESPONSE: Final = "RESPUESTA_"


class StepReport(Struct, frozen=True, kw_only=True):
    """One of the steps that make a partition ready."""

    name: Name
    state: Literal["waiting", "running", "done", "not-needed", "failed"]
    would: Text = ""
    seconds: Annotated[float, Meta(ge=0)] = 0.0


class ProgressReport(Struct, frozen=True, kw_only=True):
    """``bytes`` holds counts by name, ``rate`` is in bytes a second."""

    nfn: Function
    job_id: Name
    ids: Text
    progress: Percent
    phase: Phase | None
    bytes: dict[str, Count | None]
    rate: Count
    eta_s: Count | None
    seq: Count
    event_id: Name
    steps: tuple[StepReport, ...] = ()


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of ``cfg``: a disk, or a partition. Only the former has an ``identity``, and not from every agent."""

    disk: Text
    par: Text
    cpt: Text
    fsi: Text
    soi: Text
    tam: Text
    uso: Text
    identity: Text = ""


class CapturedImage(Struct, frozen=True, kw_only=True):
    """``size`` of the file and ``used`` of the file system in it, in bytes; ``filesystem`` in OpenGnsys' words."""

    size: Count
    used: Count
    filesystem: Name
    digest: Digest


class FinalReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a function has of its own is None where it does not say it; rules.py knows who must say what."""

    nfn: Response
    job_id: Name
    ids: Text
    res: Literal["1", "2"]
    der: Text
    progress: Percent
    seq: Count
    event_id: Name
    ip: Text
    mac: Text
    cfg: list[Row] | None = None
    """Left out when no disk could be read: what was known of them is still known."""
    idi: Text | None = None
    dsk: Text | None = None
    par: Text | None = None
    ifs: Text | None = None
    cpt: Text | None = None
    ipr: Text | None = None
    image: CapturedImage | None = None
    hrd: LongText | None = None
    sft: LongText | None = None
    out: LongText | None = None
    code: Text | None = None


Report = ProgressReport | FinalReport


class _Named(Struct):
    nfn: str


def read_report(body: bytes) -> Report:
    """Raises what msgspec does."""
    if msgspec.json.decode(body, type=_Named).nfn.startswith(_RESPONSE):
        return msgspec.json.decode(body, type=FinalReport)
    return msgspec.json.decode(body, type=ProgressReport)


def function_of(job_id: str) -> str:
    """``RestaurarImagen-dfa42888``: the function's name comes first."""
    return job_id.rpartition("-")[0]


def response_of(function: str) -> str:
    """The ``nfn`` of the report that ends a job of it."""
    return _RESPONSE + ("Configurar" if function == "Actualizar" else function)
