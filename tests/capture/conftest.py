from __future__ import annotations

from pathlib import Path
from ssl import SSLContext

import pytest

from simulator.certificates import Authority
from tests.capture.dav_server import TOKEN


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def tls(authority: Authority) -> SSLContext:
    """Of a server at 127.0.0.1."""
    return authority.server_context("127.0.0.1")


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    file = tmp_path / "credential"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    return file
