"""Who is logged in, whatever becomes of logind; who is told what, and in which order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from ogagent.errors import NobodyLoggedIn, SessionsUnknown, ToolFailed
from ogagent.installed.people import Nobody, People
from ogagent.system.logind import Attendant, RealLogind, Session
from simulator.machine.seat import Seat, SeatDesktop
from tests.system.logind_twin import LogindTwin, person, private_bus


class Diary:
    """Implements ``Witness``, and the rest that is told of people."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Condition()

    async def see(self, sessions: Sequence[Session]) -> None:
        await self.note(", ".join(session.user for session in sessions) or "nobody")

    async def farewell(self, _patience_s: float) -> None:
        await self.note("farewell")

    def welcome(self) -> None:
        self.lines.append("welcome")

    async def note(self, line: str) -> None:
        async with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    async def until(self, true: Callable[[list[str]], bool]) -> None:
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: true(self.lines)), 300)


class Twin:
    def __init__(self) -> None:
        self.seat, self.desktop, self.diary = Seat(), SeatDesktop(), Diary()
        self.people = People(self.seat, self.desktop, self.diary, self.diary.farewell, self.diary.welcome)


@pytest.fixture
def twin() -> Twin:
    return Twin()


async def test_who_logs_in_and_out_is_written_down(twin: Twin) -> None:
    task = asyncio.create_task(twin.people.run())
    await twin.diary.until(lambda lines: lines == ["nobody"])
    assert not twin.people.logged_in
    twin.seat.log_in("ana")
    await twin.diary.until(lambda lines: lines[-1] == "ana")
    assert twin.people.logged_in
    assert await twin.people.log_off() == 1
    await twin.diary.until(lambda lines: lines[-1] == "nobody")
    assert twin.seat.ended == ["1"]
    assert await twin.people.log_off() == 0
    task.cancel()
    await asyncio.wait({task})


async def test_the_machine_goes_when_that_was_told(twin: Twin) -> None:
    task = asyncio.create_task(twin.people.run())
    await asyncio.wait_for(twin.seat.go_down(), 300)
    assert twin.diary.lines[-1] == "farewell"
    task.cancel()
    await asyncio.wait({task})


async def test_it_stays_after_all(twin: Twin) -> None:
    await twin.people.staying()
    assert twin.diary.lines == ["welcome"]


class Away:
    """A logind that is there every other time."""

    def __init__(self) -> None:
        self.times = 0

    async def attend(self, attendant: Attendant) -> None:
        self.times += 1
        if self.times in (2, 3):
            raise SessionsUnknown("the system bus does not answer: nobody is there")
        await attendant.present([Session(id="1", uid=1000, user=f"user{self.times}", kind="tty")])

    async def end(self, session: Session) -> None:  # noqa: ARG002 - whoever it is
        raise SessionsUnknown("the system bus does not answer: nobody is there")


async def test_logind_is_waited_for_and_whoever_was_there_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    waits, seen = [], []

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        seen.append([session.user for session in people.sessions])
        if len(waits) == 4:
            raise Enough

    diary = Diary()
    people = People(Away(), SeatDesktop(), diary, diary.farewell, diary.welcome, sleep=sleep, jitter=lambda: 1.0)
    with pytest.raises(Enough):
        await people.run()
    assert waits == [0.5, 1.0, 2.0, 0.5]
    assert seen == [["user1"], ["user1"], ["user1"], ["user4"]]
    said = [(entry.levelname, entry.getMessage().rpartition(": ")[2]) for entry in caplog.records]
    assert said[0] == ("WARNING", "it has ended")
    assert said[1] == ("INFO", "systemd-logind tells again who is logged in")
    with pytest.raises(SessionsUnknown):
        await people.log_off()


async def test_a_bus_goes_away_and_comes_back() -> None:
    """With the real port: who was logged in is, and who comes afterwards is seen."""
    async with private_bus() as bus:
        logind, diary = LogindTwin(), Diary()
        await logind.come(bus)
        back = asyncio.Event()

        async def sleep(_seconds: float) -> None:
            await back.wait()

        people = People(RealLogind(bus.address), SeatDesktop(), diary, diary.farewell, diary.welcome, sleep=sleep)
        task = asyncio.create_task(people.run())
        logind.log_in("2", **person("ana", 1000))
        await diary.until(lambda lines: bool(lines) and lines[-1] == "ana")
        await bus.stop()
        assert people.logged_in
        await bus.start()
        again = LogindTwin()
        again.sessions = {**logind.sessions, "3": {"Id": "3", **person("luis", 1001)}}
        await again.come(bus)
        back.set()
        await diary.until(lambda lines: lines[-1] == "ana, luis")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# --- what is done for them ----------------------------------------------------------------------------------------


def session(number: int, kind: str, user: str = "ana", *, active: bool = False) -> Session:
    return Session(id=str(number), uid=1000 + len(user), user=user, kind=kind, active=active)


async def test_a_message_is_shown_on_each_desktop_once(twin: Twin) -> None:
    await twin.people.present(
        [session(1, "wayland"), session(2, "tty"), session(3, "x11"), session(4, "x11", "luis"), session(5, "tty", "e")]
    )
    assert await twin.people.show("Exam", "<b>starts</b> $(now)") == 2
    assert twin.desktop.shown == [("ana", "Exam", "<b>starts</b> $(now)"), ("luis", "Exam", "<b>starts</b> $(now)")]


async def test_one_desktop_that_fails_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Half(SeatDesktop):
        async def show(self, session: Session, title: str, message: str) -> None:
            if session.user == "ana":
                raise ToolFailed("busctl failed with status 1: no bus")
            await super().show(session, title, message)

    desktop, diary = Half(), Diary()
    people = People(Seat(), desktop, Nobody(), diary.farewell, diary.welcome)
    await people.present([session(1, "x11"), session(2, "x11", "luis")])
    assert await people.show("t", "m") == 1
    assert desktop.shown == [("luis", "t", "m")]
    assert "ana cannot be shown a message: busctl failed" in caplog.text


@pytest.mark.parametrize(
    ("sessions", "who"),
    [
        ([session(1, "tty", "root"), session(2, "wayland", "ana")], "ana"),
        ([session(1, "x11", "before"), session(2, "x11", "now", active=True)], "now"),
        ([session(1, "tty", "afar", active=True), session(2, "x11", "ana")], "ana"),
        ([session(1, "tty", "afar")], "afar"),
    ],
)
async def test_whose_script_it_is(twin: Twin, sessions: list[Session], who: str) -> None:
    await twin.people.present(sessions)
    assert (await twin.people.at_the_desk()).name == who


async def test_nobody_is_at_the_desk(twin: Twin) -> None:
    with pytest.raises(NobodyLoggedIn, match="nobody is logged in"):
        await twin.people.at_the_desk()
