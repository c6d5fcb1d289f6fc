"""One line an event, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TextIO

import pytest

from ogagent.system.log import JOB_ID, set_up


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


Form = Literal["text", "json"]


def logged(form: Form, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    set_up(level, form, {}, stream)
    return stream


def fail() -> None:
    raise ValueError("no such\nthing")


def log_failure() -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("ogagent.jobs").exception("it broke\nbadly \x1b[31m")


def test_text_says_when_how_bad_who_and_what() -> None:
    stream = logged("text")
    logging.getLogger("ogagent.http").warning("disk %d is gone", 2)
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == "WARNING ogagent.http disk 2 is gone\n"


def test_text_stays_on_one_line_with_its_traceback() -> None:
    stream = logged("text")
    log_failure()
    (line,) = stream.getvalue().splitlines()
    assert "it broke\\nbadly \\x1b[31m" in line
    assert "Traceback" in line
    assert "in fail" in line


def test_json_stays_on_one_line_with_its_traceback() -> None:
    stream = logged("json")
    log_failure()
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["level"] == "error"
    assert event["logger"] == "ogagent.jobs"
    assert event["message"] == "it broke\nbadly \x1b[31m"
    assert "ValueError: no such\nthing" in event["traceback"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_text_that_is_no_unicode_is_logged(form: Form) -> None:
    stream = logged(form)
    logging.getLogger("x").warning("name \udcff")
    assert "udcff" in stream.getvalue()
    stream.getvalue().encode()


def test_the_job_is_named_from_the_context_or_the_call() -> None:
    stream = logged("text")
    token = JOB_ID.set("RestaurarImagen-00000001")
    logging.getLogger("x").info("one")
    logging.getLogger("x").info("two", extra={"job_id": "RestaurarImagen-00000002"})
    JOB_ID.reset(token)
    logging.getLogger("x").info("three")
    ends = [line.split("x ", 1)[1] for line in stream.getvalue().splitlines()]
    assert ends == ["[RestaurarImagen-00000001] one", "[RestaurarImagen-00000002] two", "three"]


def test_the_job_is_a_member_in_json() -> None:
    stream = logged("json")
    logging.getLogger("x").info("two", extra={"job_id": "RestaurarImagen-00000002"})
    assert json.loads(stream.getvalue())["job_id"] == "RestaurarImagen-00000002"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3)])
def test_the_journal_gets_priorities(form: Form, level: str, priority: int, tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        set_up("debug", form, journal_is(stream), stream)
        logging.getLogger("x").log(logging.getLevelNamesMapping()[level.upper()], "event")
        stream.seek(0)
        assert stream.read().startswith(f"<{priority}>")


@pytest.mark.parametrize("form", ["text", "json"])
def test_others_do_not_get_priorities(form: Form, tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "file").open("w+") as stream:
        for environment in ({}, {"JOURNAL_STREAM": "nonsense"}, journal_is(journal)):
            set_up("info", form, environment, stream)
            logging.getLogger("x").error("event")
            stream.seek(0)
            assert not stream.read().startswith("<")


def journal_is(stream: TextIO) -> dict[str, str]:
    status = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_the_level_holds() -> None:
    stream = logged("text", level="warning")
    logging.getLogger("x").info("quiet")
    assert stream.getvalue() == ""
