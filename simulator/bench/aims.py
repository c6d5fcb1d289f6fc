"""What was aimed at, as ratios within one run, which hold on other machines too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from simulator.bench.contestants import DD, DECOMPRESS, DECOMPRESS_FRAMES, OPENGNSYS, engine_name
from simulator.bench.hostile import Hostile
from simulator.bench.network import Arrival, Link
from simulator.bench.restore import Row
from simulator.bench.served import Served
from simulator.tree import MIB

_MEMORY_MIB: Final = 120
_HOSTILE_MIB: Final = 160


class Aim(Struct, frozen=True):
    """A ratio when there is no unit. ``found`` is to be at most ``aimed``, or at least when ``at_least``."""

    name: str
    found: float
    aimed: float
    unit: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.found >= self.aimed if self.at_least else self.found <= self.aimed


def aims(
    rows: Sequence[Row],
    served: Served,
    served_large: Served,
    hostile: Sequence[Hostile],
    loopback: Arrival,
    link: Link | None,
) -> list[Aim]:
    by_name = {row.name: row for row in rows}
    zstd, zstd_read_back = (by_name[engine_name("zstd", read_back=read_back)] for read_back in (False, True))
    indexed, indexed_read_back = (by_name[engine_name("indexed", read_back=read_back)] for read_back in (False, True))
    lzop, opengnsys = by_name[engine_name("lzop", read_back=False)], by_name[OPENGNSYS]
    found = [
        Aim(f"indexed, time against {DECOMPRESS_FRAMES}", indexed.seconds / by_name[DECOMPRESS_FRAMES].seconds, 1.0),
        Aim("indexed, time on one core against all", (indexed.one_core_s or 0) / indexed.seconds, 1.8, at_least=True),
        Aim(f"zstd, time against {OPENGNSYS}", zstd.seconds / opengnsys.seconds, 0.25),
        Aim(f"zstd, time against {DD}", zstd.seconds / by_name[DD].seconds, 1.0),
        Aim(f"zstd, time against {DECOMPRESS}", zstd.seconds / by_name[DECOMPRESS].seconds, 1.15),
        Aim(f"lzop, time against {OPENGNSYS}", lzop.seconds / opengnsys.seconds, 0.5),
        Aim("read-back, time against none", zstd_read_back.seconds / zstd.seconds, 1.4),
        Aim(f"zstd, processor time against {OPENGNSYS}", zstd.cpu_s / opengnsys.cpu_s, 0.5),
        _memory("the agent", served.peak_rss, _MEMORY_MIB),
        _memory("the agent, 40 GiB partition", served_large.peak_rss, _MEMORY_MIB),
        _memory("the indexed restore", max(indexed.peak_rss, indexed_read_back.peak_rss), _MEMORY_MIB),
        *(_memory(each.name, each.peak_rss, _HOSTILE_MIB) for each in hostile),
        Aim("image over the loopback, to nowhere", loopback.received_per_s / 1e6, 800, "MB/s", at_least=True),
        Aim("status while restoring, 99 of 100 within", served.status_p99_ms, 100, "ms"),
    ]
    if link is not None:
        found.append(Aim("1 Gbit/s link, speed against curl", link.curl_s / link.engine_s, 0.97, at_least=True))
    return found


def _memory(of: str, peak_rss: int, aimed_mib: int) -> Aim:
    return Aim(f"memory of {of}", peak_rss / MIB, aimed_mib, "MiB")
