"""The programs that bring an image to many at once: how each is started, and how it is told to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.errors import ToolMissing
from simulator.repository.crowd.wanted import Name, Plan

_RETRIES_UNTIL_DROP: Final = 10
"""Not OpenGnsys' 65: all others wait so long for one that has lost its power."""
_PATIENCE_S: Final = 600
"""How long the first client is waited for."""
_TTL: Final = 16
_ROUND_TRIPS: Final = "0.2:0.02:1"
"""At first, at least and at most, in seconds (uftp's -r). A session is announced for 60 of them, and a client that is
silent is waited for as long: 12 s when there is none, 1.2 s once somebody has answered in no time.
"""
_MODES: Final[Mapping[str, Sequence[str]]] = {
    "full-duplex": ("--full-duplex",),
    "half-duplex": ("--half-duplex",),
    "broadcast": ("--broadcast",),
}


class Engine(Struct, frozen=True, kw_only=True):
    """``ports`` from the session's own on are taken by it. It is there when it has said ``ready``, and sends when it
    has said ``sending``; ``stop`` is the signal that it takes leave of its clients by. ``method`` is what a client
    must be told. One that ``waits`` does not wait itself: whoever has not come when it begins is not served.
    """

    name: Name
    ports: int
    waits: bool = False
    ready: str
    sending: str
    stop: signal.Signals
    command: Callable[[Plan], Sequence[str | Path]]
    method: Callable[[Plan], str]


def _udp_sender(plan: Plan) -> Sequence[str | Path]:
    """As OpenGnsys' sendFileMcast starts it, but for the retries; whom nobody asks goes."""
    return (
        "udp-sender", "--nokbd", "--no-progress", "--retries-until-drop", str(_RETRIES_UNTIL_DROP),
        "--portbase", str(plan.port), *_MODES[plan.mode], "--interface", plan.place.interface,
        "--mcast-data-address", plan.address, "--fec", "8x8/128", "--max-bitrate", f"{plan.speed}m",
        "--ttl", str(_TTL), "--min-clients", str(plan.clients), "--max-wait", str(plan.wait),
        "--start-timeout", str(plan.wait + _PATIENCE_S), "--file", plan.path,
    )  # fmt: skip


def _uftp(plan: Plan) -> Sequence[str | Path]:
    """Three passes; a client that lacks more than a fifth of two sections is left behind. Rates are in kbit/s."""
    return (
        "uftp", "-a", "3", "-N", "20", "-m", "2", "-R", str(plan.speed * 1000), "-I", plan.place.interface,
        "-p", str(plan.port), "-M", plan.address, "-P", plan.address, "-t", str(_TTL),
        "-r", _ROUND_TRIPS, "-D", plan.path.name, plan.path,
    )  # fmt: skip


def _seed(plan: Plan) -> Sequence[str | Path]:
    if find_spec("libtorrent") is None:
        raise ToolMissing("libtorrent is not installed", hint="apt install ogagent-p2p, or pip install 'ogagent[p2p]'")
    place = plan.place
    where = ("--address", place.own, "--port", str(plan.port), "--tracker", place.tracker)
    return (sys.executable, "-m", "simulator.repository.crowd.seed", plan.path, *where, "--mbit", str(plan.speed))


ENGINES: Final[Mapping[str, Engine]] = {
    "udpcast": Engine(
        name="udpcast",
        ports=2,
        ready="Broadcasting control",
        sending="Starting transfer",
        stop=signal.SIGINT,
        command=_udp_sender,
        method=lambda plan: (
            f"multicast {plan.port}:{plan.mode}:{plan.address}:{plan.speed}M:{plan.clients}:{plan.wait}"
        ),
    ),
    "uftp": Engine(
        name="uftp",
        ports=1,
        waits=True,
        ready="Sending ANNOUNCE",
        sending="Sending file",
        stop=signal.SIGTERM,
        command=_uftp,
        method=lambda plan: f"uftp {plan.port}:{plan.address}:{plan.speed}M",
    ),
    "p2p": Engine(
        name="p2p",
        ports=1,
        ready="listening on",
        sending="giving",
        stop=signal.SIGTERM,
        command=_seed,
        method=lambda plan: f"p2p peer:{plan.wait}",
    ),
}
