"""A repository that sends an image to a classroom at once, with upstream's own program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.machine.network import BRIDGE

_PORT: Final = 9000
_GROUP: Final = "239.194.17.2"
_SPEED: Final = "30M"
"""An emulated PC loses what comes faster, and whoever loses more than the others leaves."""
_WAIT_S: Final = 900
_RETRIES: Final = "1000"
"""An emulated PC beside others may not get a processor for a second, in which it does not answer."""


@asynccontextmanager
async def sending(image: Path, clients: int) -> AsyncIterator[str]:
    """Begins when so many are there. What their agents have to be told."""
    command = ["udp-sender", "--nokbd", "--retries-until-drop", _RETRIES, "--portbase", f"{_PORT}", "--full-duplex"]
    command += ["--interface", BRIDGE, "--mcast-data-address", _GROUP, "--fec", "8x8/128", "--ttl", "16"]
    command += ["--max-bitrate", _SPEED.lower(), "--min-clients", f"{clients}", "--max-wait", f"{_WAIT_S}"]
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *command, "--file", image, stdin=null, stdout=null, stderr=null
    )
    try:
        yield f"multicast-direct {_PORT}:full-duplex:{_GROUP}:{_SPEED}:{clients}:{_WAIT_S}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
