"""How fast images go out over a link of a classroom's speed, where ``curl`` is the measure."""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.capturers import capture, remove, seconds_of
from simulator.bench.models import TIMEOUT_S, Model
from simulator.bench.network import CLIENT, SERVER
from simulator.errors import LabError, ToolFailed
from simulator.processes import measure, peer, run

_PORT: Final = 8482
_INSIDE: Final = ("ip", "netns", "exec", CLIENT[0])
_PATIENCE_S: Final = 120.0
_RATES: Final = (("1gbit", 125e6), ("200mbit", 25e6))
"""As tc(8) writes them, and in bytes a second."""
_SPARE: Final = 2.0
"""What these cores make of an image in a second against what the link carries, so that there is room for the
repository, which runs on them, too, and for TLS on both sides."""


class Upload(Struct, frozen=True):
    """Seconds for the same image over the same link; ``size`` is the image's, in bytes."""

    rate: str
    size: int
    engine_s: float
    curl_s: float


def rate_for(made_per_s: float) -> str:
    """A link that is slower than this engine, which makes so many bytes of an image a second."""
    return next((rate for rate, carried in _RATES if made_per_s >= _SPARE * carried), _RATES[-1][0])


def upload(model: Model, rate: str, scratch: Path, rounds: int) -> Upload:
    """To a repository on the other side of ``network.link``, which has that rate: the image as it is made, and the
    finished one. At level 1, where it is the link that is waited for.
    """
    measure([capture(model.device, model.image, "--level", "1", "--no-verify")], timeout_s=TIMEOUT_S)
    images = model.plain.with_name("images")
    images.mkdir()
    engine, curl = [], []
    with _repository(images, scratch) as url:
        for _ in range(rounds):
            engine.append(_captured(model, url, scratch))
            remove(images / model.image.name)
            curl.append(_sent(model, url, scratch))
            remove(images / model.image.name)
    size = model.image.stat().st_size
    remove(model.image)
    return Upload(rate, size, statistics.median(engine), statistics.median(curl))


def _captured(model: Model, url: str, scratch: Path) -> float:
    trusted = ("--ca", _authority(scratch), "--credential", scratch / "token")
    command = capture(model.device, f"{url}/{model.image.name}", "--level", "1", "--no-verify", *trusted)
    return seconds_of(measure([[*_INSIDE, *command]], timeout_s=TIMEOUT_S))


def _sent(model: Model, url: str, scratch: Path) -> float:
    command: list[str | Path] = ["curl", "-sf", "--cacert", _authority(scratch), "-H", f"@{scratch / 'header'}"]
    command += ["-T", model.image, f"{url}/{model.image.name}"]
    return measure([[*_INSIDE, *command]], timeout_s=TIMEOUT_S).wall_s


def _authority(scratch: Path) -> Path:
    return scratch / "ca" / "ca.pem"


@contextmanager
def _repository(images: Path, scratch: Path) -> Iterator[str]:
    """On the server's side of the link; whoever has read ``token``, or ``header``, may write."""
    token = secrets.token_hex()
    _write_secret(scratch / "token", token)
    _write_secret(scratch / "header", f"Authorization: Bearer {token}\n")
    command: list[str | Path] = ["ip", "netns", "exec", SERVER[0], sys.executable, "-m", "simulator", "repository"]
    command += ["--images", images, "--address", SERVER[1], "--port", str(_PORT)]
    command += ["--tls", scratch / "ca", "--token-file", scratch / "token"]
    url = f"https://{SERVER[1]}:{_PORT}/ogrepository/images"
    with peer("the repository", command, scratch / "repository.log") as server:
        give_up = time.monotonic() + _PATIENCE_S
        while not _answers(url, scratch):
            server.check()
            if time.monotonic() > give_up:
                raise LabError(f"nobody listens on {SERVER[1]} port {_PORT}")
            time.sleep(0.1)
        yield url


def _answers(url: str, scratch: Path) -> bool:
    with suppress(ToolFailed):
        run([*_INSIDE, "curl", "-s", "-o", "/dev/null", "--cacert", _authority(scratch), url])
        return True
    return False


def _write_secret(file: Path, content: str) -> None:
    file.touch(mode=0o600)
    file.write_text(content, encoding="utf-8")
