"""``ogsim repository --token-file``: a token that is kept to oneself, and is told to nobody."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.errors import LabError
from simulator.token_file import read_token
from tests.simulator.repository_writer import PREFIX, TOKEN

MIB = 1 << 20


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n"])
def test_a_token(tmp_path: Path, content: str) -> None:
    assert read_token(write(tmp_path / "token", content.encode())) == TOKEN


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"two\nlines\n", "ñ".encode(), b"\0"])
def test_what_is_no_token(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(LabError):
        read_token(write(tmp_path / "token", content))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_can_read(tmp_path: Path, mode: int) -> None:
    with pytest.raises(LabError, match="can be read by others") as failure:
        read_token(write(tmp_path / "token", TOKEN.encode(), mode))
    assert "chmod 600" in failure.value.hint
    assert TOKEN not in str(failure.value)


def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        read_token(tmp_path / "token")


# --- the command ------------------------------------------------------------------------------------------------------


@contextmanager
def serving(images: Path, *arguments: str | Path) -> Iterator[tuple[int, Path]]:
    """Its port, and the file with all that it says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "simulator", "repository", "--images", images, "--plain", *arguments]
    log = images.with_name("log")
    with log.open("wb") as said:
        place = ("--address", "127.0.0.1", "--port", str(port))
        process = subprocess.Popen([*command, *place], stdout=said, stderr=said)
    try:
        give_up = time.monotonic() + 300
        while not answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield port, log
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    try:
        return call(port, "GET", "")[0] == 200
    except OSError:
        return False


def call(port: int, method: str, name: str, body: bytes | None = None, token: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, PREFIX + name, body, {"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_command(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    token = write(tmp_path / "token", f"{TOKEN}\n".encode())
    with serving(images, "--token-file", token, "--quota-mib", "1") as (port, log):
        assert call(port, "PUT", "/X.img", b"data")[0] == 401
        assert call(port, "PUT", "/X.img", b"data", "wrong-one")[0] == 403
        assert call(port, "PUT", "/X.img", bytes(MIB), TOKEN)[0] == 201
        assert call(port, "PUT", "/Y.img", b"!", TOKEN)[0] == 507
        assert [image["name"] for image in json.loads(call(port, "GET", "")[1])["images"]] == ["X"]
        assert call(port, "DELETE", "/X.img", None, TOKEN)[0] == 204
    assert TOKEN not in log.read_text()
    assert "wrong-one" not in log.read_text()


def test_the_command_without_a_token(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    with serving(images) as (port, _):
        assert call(port, "PUT", "/X.img", b"data", TOKEN)[0] == 403


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--token-file", "absent"), 1, "absent cannot be read"),
        (("--quota-mib", "0"), 2, "no number of MiB"),
        (("--quota-mib", "x"), 2, "no number of MiB"),
    ],
)
def test_what_the_command_does_not_take(tmp_path: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    command = [sys.executable, "-m", "simulator", "repository", "--images", str(tmp_path), "--plain", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, said in result.stderr) == (status, True)
