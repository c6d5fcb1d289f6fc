"""Who is let in, who is turned away, and what a guesser gets."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from ogagent.errors import (
    AccessDenied,
    CallerNotAllowed,
    CredentialMissing,
    CredentialWrong,
    SettingsError,
    TooManyRequests,
)
from ogagent.http.access import (
    Access,
    AddressAccess,
    Caller,
    CertificateAccess,
    Refusals,
    SecretAccess,
    guard,
    make_access,
    plain_address,
)
from ogagent.http.problems import problems
from ogagent.http.secret import agent_secret
from ogagent.settings import AccessSettings

SECRET = "s3cret-" * 7
HERE, THERE = "192.168.2.1", "192.168.2.9"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(access: SecretAccess, remote: str, authorization: str = "wrong") -> type[AccessDenied]:
    with pytest.raises(AccessDenied) as caught:
        access.check(Caller(address=remote, authorization=authorization))
    return caught.type


@pytest.mark.parametrize("header", [SECRET, f"Bearer {SECRET}", f"bearer  {SECRET} ", f" {SECRET} "])
def test_the_secret_opens(header: str) -> None:
    SecretAccess(SECRET).check(Caller(address=HERE, authorization=header))


@pytest.mark.parametrize("header", ["", " ", "Bearer", "Bearer  "])
def test_no_credential(header: str) -> None:
    assert refused(SecretAccess(SECRET), HERE, header) is CredentialMissing


@pytest.mark.parametrize(
    "header", [SECRET[:-1], SECRET + "x", f"Basic {SECRET}", f"{SECRET} {SECRET}", "Bearer ä", "\udcff", SECRET.upper()]
)
def test_a_wrong_credential(header: str) -> None:
    assert refused(SecretAccess(SECRET), HERE, header) is CredentialWrong


def test_twenty_wrong_ones_are_borne_and_the_next_is_too_many() -> None:
    access = SecretAccess(SECRET, Clock())
    assert [refused(access, HERE) for _ in range(20)] == [CredentialWrong] * 20
    access.check(Caller(address=HERE, authorization=SECRET))
    assert refused(access, HERE) is TooManyRequests
    assert refused(access, HERE, "") is TooManyRequests
    assert refused(access, THERE) is CredentialWrong


def test_old_secrets_do_not_lock_the_right_one_out() -> None:
    """ogCore asks for the state of a client that has started anew, before that has told it the new secret."""
    access = SecretAccess(SECRET, Clock())
    for _ in range(100):
        refused(access, HERE, "the one of yesterday")
    access.check(Caller(address=HERE, authorization=SECRET))
    assert refused(access, HERE) is TooManyRequests


def test_a_minute_later_the_address_is_heard_again() -> None:
    clock = Clock()
    access = SecretAccess(SECRET, clock)
    for _ in range(21):
        refused(access, HERE)
    clock.now += 59.9
    assert refused(access, HERE) is TooManyRequests
    clock.now += 0.1
    assert refused(access, HERE) is CredentialWrong


def test_wrong_ones_spread_over_time_are_borne() -> None:
    clock = Clock()
    access = SecretAccess(SECRET, clock)
    for _ in range(100):
        clock.now += 3.1
        assert refused(access, HERE) is CredentialWrong


def test_a_missing_credential_is_not_a_guess() -> None:
    access = SecretAccess(SECRET, Clock())
    assert {refused(access, HERE, "") for _ in range(50)} == {CredentialMissing}


def test_memory_is_bounded_and_keeps_the_latest() -> None:
    refusals = Refusals(Clock())
    for number in range(100_000):
        refusals.add(f"2001:db8::{number:x}")
    for _ in range(100):
        refusals.add(HERE)
    assert len(refusals) == 4096
    assert refusals.too_many(HERE)


@pytest.mark.parametrize("access", [SecretAccess(SECRET, Clock()), AddressAccess(()), CertificateAccess()])
async def test_who_is_turned_away_loses_the_connection_and_is_told_of_once_a_minute(
    aiohttp_client: AiohttpClient, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever goes on has to come anew each time, at the pace of the door, and does not fill the log."""
    clock = Clock()
    app = web.Application(middlewares=[problems, guard(access, ("/open",), clock)])
    caller = await aiohttp_client(app, headers={"Authorization": "wrong"})
    with caplog.at_level(logging.INFO, "ogagent.http"):
        for _ in range(3):
            for _ in range(30):
                async with caller.get("/jobs") as response:
                    assert response.status in {401, 403, 429}
                    assert response.headers["Connection"] == "close"
            clock.now += 60
    assert [record.getMessage().partition(" refused: ")[0] for record in caplog.records] == [
        "GET /jobs from 127.0.0.1"
    ] * 3
    async with caller.get("/open") as response:
        assert (response.status, response.headers.get("Connection")) == (404, None)


@pytest.mark.parametrize(
    ("remote", "allowed"),
    [
        ("192.168.2.1", True),
        ("192.168.3.1", False),
        ("::ffff:192.168.2.7", True),
        ("::ffff:192.168.3.7", False),
        ("fe80::1%eth0", True),
        ("fd00::1", False),
        ("", False),
        ("somebody", False),
    ],
)
def test_addresses(remote: str, *, allowed: bool) -> None:
    access = make_access(AccessSettings(mode="address", allow=("192.168.2.0/24", "fe80::/10")), SECRET)
    caller = Caller(address=plain_address(remote), authorization=SECRET, certified=True)
    if allowed:
        access.check(caller)
    else:
        with pytest.raises(CallerNotAllowed):
            access.check(caller)


def test_the_mode_chooses() -> None:
    assert isinstance(make_access(AccessSettings(mode="secret"), SECRET), SecretAccess)
    assert isinstance(make_access(AccessSettings(mode="address", allow=("::1/128",)), SECRET), AddressAccess)
    assert isinstance(make_access(AccessSettings(mode="certificate", client_ca="/ca.pem"), SECRET), CertificateAccess)


def test_only_a_certificate_counts_in_mode_certificate() -> None:
    CertificateAccess().check(Caller(address=HERE, certified=True))
    with pytest.raises(CredentialMissing):
        CertificateAccess().check(Caller(address=HERE, authorization=SECRET))


def test_trust_in_addresses_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    make_access(AccessSettings(mode="address", allow=("10.0.0.0/8",)), SECRET)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "10.0.0.0/8" in record.getMessage()


@pytest.mark.parametrize("secret", ["0123456789abcdef" * 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"])
def test_a_secret_of_256_bits_will_do(tmp_path: Path, secret: str) -> None:
    assert agent_secret(secret_file(tmp_path, secret.encode())) == secret


def test_a_fresh_secret_each_time() -> None:
    assert len(agent_secret(AccessSettings())) >= 43
    assert agent_secret(AccessSettings()) != agent_secret(AccessSettings())


def secret_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> AccessSettings:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    return AccessSettings(secret_file=str(file))


def test_a_fixed_secret_is_stripped(tmp_path: Path) -> None:
    assert agent_secret(secret_file(tmp_path, f"  {SECRET}\n".encode())) == SECRET


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"short\n", 0o600, "256 are needed"),
        (b"0123456789abcdef" * 2, 0o600, "at most 128 bits"),
        (b" " * 40, 0o600, "256 are needed"),
        (SECRET.encode(), 0o640, "can be read by others"),
        (SECRET.encode(), 0o604, "can be read by others"),
        (SECRET.encode() + b" more", 0o600, "more than one word"),
        (SECRET.encode() + b"\nmore", 0o600, "more than one word"),
        (SECRET.encode() + b"\xff", 0o600, "not ASCII"),
    ],
)
def test_a_secret_file_that_will_not_do(tmp_path: Path, content: bytes, mode: int, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"access\.secret_file") as caught:
        agent_secret(secret_file(tmp_path, content, mode))
    assert reason in caught.value.message
    assert SECRET not in caught.value.message + caught.value.hint


def test_a_secret_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        agent_secret(AccessSettings(secret_file=str(tmp_path / "absent")))
