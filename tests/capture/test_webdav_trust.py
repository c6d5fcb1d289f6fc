"""Whom the image and the token are given to, and where the token comes from."""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext
from typing import Final

import pytest

from ogagent.capture.store import StorePolicy
from ogagent.errors import AgentError, RepositoryNotAllowed, RepositoryUnreachable
from simulator.certificates import Authority
from tests.capture.dav_server import TOKEN, answers_of, opened, policy, raw, says, served
from tests.capture.test_webdav import CALLS
from tests.system import signed
from tests.system.signed import DAY

ELSEWHERE: Final = (ip_network("10.0.0.0/8"),)


async def refusal(url: str, how: StorePolicy, call: str = "put") -> AgentError:
    async def ask() -> None:
        async with opened(url, how) as store:
            await CALLS[call](store)

    with pytest.raises((RepositoryUnreachable, RepositoryNotAllowed)) as failure:
        await ask()
    return failure.value


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_else_gets_it(
    tls: SSLContext, authority: Authority, credential: Path, status: int, call: str
) -> None:
    how = policy(authority.certificate, credential, retry=600)
    async with raw(tls, answers_of(says(200))) as other:
        answer = says(status, b"", f"Location: {other.url}")
        async with raw(tls, answers_of(answer)) as server:
            failure = await refusal(server.url, how, call)
    assert "elsewhere" in failure.message
    assert (len(server.heads), other.connections) == (1, 0)
    assert TOKEN not in failure.message


# --- certificates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["put", "stream", "move"])
@pytest.mark.parametrize(
    ("begins", "ends", "address", "told", "hint"),
    [
        (DAY, 2 * DAY, "127.0.0.1", "not yet valid", "clock, which says 20"),
        (-2 * DAY, -DAY, "127.0.0.1", "expired", "renew the certificate"),
        (-DAY, DAY, "127.0.0.9", "not valid for '127.0.0.1'", "subjectAltName"),
    ],
)
async def test_a_certificate_that_is_not_believed(
    tmp_path: Path, credential: Path, begins: timedelta, ends: timedelta, address: str, told: str, hint: str, call: str
) -> None:
    ca = signed.Authority(tmp_path)
    async with raw(ca.server(address, begins=begins, ends=ends), answers_of(says(201))) as server:
        failure = await refusal(server.url, policy(ca.pem, credential, retry=600), call)
    assert server.url.rpartition("/")[0] in failure.message
    assert told in failure.message
    assert hint in failure.hint
    assert not server.heads


@pytest.mark.parametrize("call", ["put", "stream", "move"])
async def test_a_certificate_of_another_authority(tmp_path: Path, tls: SSLContext, credential: Path, call: str) -> None:
    other = Authority(tmp_path / "other")
    async with raw(tls, answers_of(says(201))) as server:
        failure = await refusal(server.url, policy(other.certificate, credential, retry=600), call)
    assert "cannot prove who it is" in failure.message
    assert "repository.ca" in failure.hint
    assert not server.heads


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_address_outside_the_networks(tls: SSLContext, authority: Authority, host: str) -> None:
    async with raw(tls, answers_of(says(201))) as server:
        failure = await refusal(
            server.url.replace("127.0.0.1", host), policy(authority.certificate, networks=ELSEWHERE, retry=600)
        )
    assert failure.number == 23
    assert "repository.allow" in failure.hint
    assert server.connections == 0


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "dav"])
async def test_never_without_tls(authority: Authority, credential: Path, tls: SSLContext, scheme: str) -> None:
    async with raw(tls, answers_of(says(201))) as server:
        failure = await refusal(
            server.url.replace("https", scheme), policy(authority.certificate, credential, retry=600)
        )
    assert "https" in failure.message
    assert server.connections == 0


async def test_a_password_in_the_address(authority: Authority) -> None:
    failure = await refusal("https://user:pa55@127.0.0.1/x.img", policy(authority.certificate))
    assert "pa55" not in repr(failure) + failure.hint


# --- the token ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_it_is_shown_each_time(authority: Authority, credential: Path, call: str) -> None:
    async with served(authority, answers_of(b"HTTP/1.1 204 So\r\n\r\n"), credential=credential) as (server, store):
        await CALLS[call](store)
    assert server.header("Authorization") == f"Bearer {TOKEN}"


async def test_none_is_shown_where_there_is_none(authority: Authority) -> None:
    async with served(authority, answers_of(says(201))) as (server, store):
        await store.put("x.img", b"")
    assert server.header("Authorization") is None


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"  {TOKEN} \r\n\n"])
async def test_how_it_may_be_written(authority: Authority, credential: Path, text: str) -> None:
    write(credential, text.encode())
    async with served(authority, answers_of(says(201)), credential=credential) as (server, store):
        await store.put("x.img", b"")
    assert server.header("Authorization") == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no token"),
        (b"\n", "holds no token"),
        (f"{TOKEN}\n{TOKEN}\n".encode(), "holds no token"),
        (f"{TOKEN} {TOKEN}".encode(), "holds no token"),
        (f"{TOKEN}\r\nX-Other: 1".encode(), "holds no token"),
        (f"{TOKEN}\0".encode(), "holds no token"),
        (b"A" * 100_000, "holds no token"),
        ("contraseña".encode(), "more than ASCII"),
    ],
)
async def test_what_is_no_token(authority: Authority, credential: Path, content: bytes, told: str) -> None:
    write(credential, content)
    failure = await refusal("https://127.0.0.1:9/x.img", policy(authority.certificate, credential))
    assert str(credential) in failure.message
    assert told in failure.message
    assert "capture.credential_file" in failure.hint
    assert TOKEN not in repr(failure)


async def test_there_is_no_such_file(authority: Authority, tmp_path: Path) -> None:
    failure = await refusal("https://127.0.0.1:9/x.img", policy(authority.certificate, tmp_path / "none"))
    assert "none cannot be read: No such file" in failure.message


async def test_it_is_not_a_file(authority: Authority, tmp_path: Path) -> None:
    failure = await refusal("https://127.0.0.1:9/x.img", policy(authority.certificate, tmp_path))
    assert "cannot be read: Is a directory" in failure.message


async def test_it_may_not_be_read(authority: Authority, credential: Path) -> None:
    """By nobody, whom root becomes for that."""
    os.chmod(credential, 0)  # noqa: PTH101
    how, user = policy(authority.certificate, credential), os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        failure = await refusal("https://127.0.0.1:9/x.img", how)
    finally:
        os.seteuid(user)
    assert "cannot be read: Permission denied" in failure.message


async def test_it_is_changed_while_the_agent_runs(tls: SSLContext, authority: Authority, credential: Path) -> None:
    how = policy(authority.certificate, credential)
    async with raw(tls, answers_of(says(201), says(201))) as server:
        for token in ("first", "second"):
            write(credential, f"{token}\n".encode())
            async with opened(server.url, how) as store:
                await store.put("x.img", b"")
    assert [server.header("Authorization", number) for number in range(2)] == ["Bearer first", "Bearer second"]
