"""The reports that an agent posts to the webhook, in the shape that ogCore insists on."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=2000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0)]
Phase = Literal["checking", "fetching", "flushing", "reading-back", "committing", "caching"]

SUCCEEDED: Final = "1"
CANCELLED: Final = "000-Cancelled"


class ProgressReport(Struct, frozen=True, kw_only=True, tag_field="nfn", tag="RestaurarImagen"):
    """``bytes`` holds counts by name, ``rate`` is in bytes a second."""

    job_id: Name
    ids: Text
    progress: Percent
    phase: Phase | None
    bytes: dict[str, Count | None]
    rate: Count
    eta_s: Count | None
    seq: Count
    event_id: Name


class Row(Struct, frozen=True, kw_only=True):
    """One line of ``cfg``: a disk, or a partition. Only the former has an ``identity``, and not from every agent."""

    disk: Text
    par: Text
    cpt: Text
    fsi: Text
    soi: Text
    tam: Text
    uso: Text
    identity: Text = ""


class FinalReport(Struct, frozen=True, kw_only=True, tag_field="nfn", tag="RESPUESTA_RestaurarImagen"):
    job_id: Name
    ids: Text
    idi: Text
    dsk: Text
    par: Text
    ifs: Text
    res: Literal["1", "2"]
    der: Text
    cfg: list[Row] | None = None
    """Left out when no disk could be read: what was known of them is still known."""
    progress: Percent
    seq: Count
    event_id: Name
    ip: Text
    mac: Text


Report = ProgressReport | FinalReport
