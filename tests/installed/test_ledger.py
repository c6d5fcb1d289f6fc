"""Who has logged in and out, and what ogCore has yet to be told of it, over restarts and power cuts."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.installed.ledger import MOST_WAITING, Ledger, Page, Surroundings, turned
from ogagent.ogcore.line import Notice
from ogagent.system.logind import Session

HERE: Final = Surroundings(boot="first", language="es_ES.UTF-8", osversion="Debian GNU/Linux 12 (bookworm)")
AFTER: Final = Surroundings(boot="second", language="es_ES.UTF-8", osversion="Debian GNU/Linux 12 (bookworm)")
ANA: Final = Session(id="2", uid=1000, user="ana", kind="wayland")
LUIS: Final = Session(id="3", uid=1001, user="luis", kind="tty")


def counted() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"event-{next(numbers)}"


def story(page: Page) -> list[tuple[str, str]]:
    return [(notice.what, notice.members["user"]) for notice in page.waiting]


def test_a_login_is_told_with_its_surroundings() -> None:
    (notice,) = turned(Page(), [ANA], HERE, counted()).waiting
    assert notice == Notice(
        event_id="event-1",
        what="loggedin",
        members={
            "user": "ana",
            "language": "es_ES.UTF-8",
            "session": "wayland",
            "ostype": "Linux",
            "osversion": "Debian GNU/Linux 12 (bookworm)",
        },
    )


def test_a_logout_is_told_by_the_user_alone() -> None:
    page = turned(turned(Page(), [ANA], HERE, counted()), [], HERE, lambda: "event-2")
    assert page.waiting[1] == Notice(event_id="event-2", what="loggedout", members={"user": "ana"})


def test_the_same_sessions_are_no_news() -> None:
    page = turned(Page(), [ANA, LUIS], HERE, counted())
    assert turned(page, [LUIS, ANA], HERE, counted()) == page


def test_who_goes_is_told_before_who_comes() -> None:
    page = turned(turned(Page(), [ANA], HERE, counted()), [LUIS], HERE, counted())
    assert story(page) == [("loggedin", "ana"), ("loggedout", "ana"), ("loggedin", "luis")]


def test_a_boot_ends_all_sessions_also_those_of_the_same_number() -> None:
    before = turned(Page(), [ANA], HERE, counted())
    again = Session(id="2", uid=1001, user="luis", kind="tty")
    assert story(turned(before, [again], AFTER, counted()))[1:] == [("loggedout", "ana"), ("loggedin", "luis")]


@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from("12345")))))
def test_whatever_is_seen_whoever_is_told_of_as_logged_in_is_there(seen: list[tuple[bool, set[str]]]) -> None:
    page, boot = Page(), 0
    for reboots, ids in seen:
        boot += reboots
        here = Surroundings(boot=str(boot), language="", osversion="")
        sessions = [Session(id=each, uid=int(each), user=f"user{each}", kind="tty") for each in sorted(ids)]
        page = turned(page, sessions, here, counted())
        inside: list[str] = []
        for what, user in story(page):
            if what == "loggedin":
                assert user not in inside
                inside.append(user)
            else:
                inside.remove(user)
        assert sorted(inside) == sorted(session.user for session in sessions)


async def ledger(folder: Path, here: Surroundings = HERE) -> Ledger:
    made = Ledger(folder / "sessions.json", here)
    await made.recall()
    return made


async def test_what_waits_outlives_the_agent(tmp_path: Path) -> None:
    first = await ledger(tmp_path)
    await first.see([ANA])
    await first.see([])
    second = await ledger(tmp_path)
    assert second.come.is_set()
    assert second.first is not None
    assert second.first == first.first
    await second.drop(second.first)
    third = await ledger(tmp_path)
    assert third.first is not None
    assert third.first.what == "loggedout"
    await third.drop(third.first)
    assert (await ledger(tmp_path)).first is None


async def test_an_agent_that_starts_anew_does_not_tell_again(tmp_path: Path) -> None:
    first = await ledger(tmp_path)
    await first.see([ANA])
    assert first.first is not None
    await first.drop(first.first)
    second = await ledger(tmp_path)
    await second.see([ANA])
    assert second.first is None
    after_boot = await ledger(tmp_path, AFTER)
    await after_boot.see([])
    assert after_boot.first is not None
    assert after_boot.first.what == "loggedout"


async def test_nobody_else_reads_it(tmp_path: Path) -> None:
    await (await ledger(tmp_path)).see([ANA])
    assert [entry.name for entry in os.scandir(tmp_path)] == ["sessions.json"]
    assert (tmp_path / "sessions.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"waiting": [{"what": 1}]}', b"\xff\xfe"])
async def test_one_that_is_damaged_is_begun_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sessions.json").write_bytes(content)
    anew = await ledger(tmp_path)
    assert "cannot be read" in caplog.text
    await anew.see([ANA])
    assert (await ledger(tmp_path)).first == anew.first is not None


async def test_what_cannot_be_written_counts_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = Ledger(tmp_path / "missing" / "sessions.json", HERE)
    await here.see([ANA])
    assert here.first is not None
    assert "cannot be written" in caplog.text


async def test_those_that_were_never_taken_are_bounded_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    many = await ledger(tmp_path)
    crowd = [Session(id=str(each), uid=each, user=f"user{each}", kind="tty") for each in range(MOST_WAITING + 2)]
    await many.see(crowd)
    assert many.first is not None
    assert many.first.members["user"] == "user2"
    assert "will not be told of 2 logins" in caplog.text
