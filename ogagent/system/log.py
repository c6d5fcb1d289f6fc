"""The log: one line an event, to standard error, for the journal or for people."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import msgspec

JOB_ID: Final[ContextVar[str]] = ContextVar("job_id", default="")
"""The job that the running task works for. ``extra={"job_id": ...}`` of one call wins over it."""

# The priorities of syslog(3), as the journal reads them from the beginning of a line, see sd-daemon(3).
_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
# Whatever could end a line, or drive the terminal of the person who reads it.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def set_up(
    level: str, form: Literal["text", "json"], environment: Mapping[str, str], stream: TextIO | None = None
) -> None:
    """Replaces what was set up before."""
    output = stream or sys.stderr
    handler = logging.StreamHandler(output)
    formatter = JsonLine() if form == "json" else TextLine()
    handler.setFormatter(JournalLine(formatter) if _is_journal(output, environment) else formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _is_journal(output: TextIO, environment: Mapping[str, str]) -> bool:
    """JOURNAL_STREAM is inherited, also by those whose output goes elsewhere: systemd.exec(5)."""
    try:
        status = os.fstat(output.fileno())
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class TextLine(logging.Formatter):
    """``2026-11-24T10:00:00.000Z WARNING ogagent.http [job id] what happened``"""

    def format(self, record: logging.LogRecord) -> str:
        job_id = _job_id(record)
        job = f"[{job_id}] " if job_id else ""
        text = f"{_time(record)} {record.levelname} {record.name} {job}{super().format(record)}"
        return _CONTROL.sub(_escaped, text)


class JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        if job_id := _job_id(record):
            event["job_id"] = job_id
        event["message"] = _encodable(record.getMessage())
        if record.exc_info:
            event["traceback"] = _encodable(self.formatException(record.exc_info))
        return msgspec.json.encode(event).decode()


class JournalLine(logging.Formatter):
    """Another formatter's line, with the priority in front."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{self._inner.format(record)}"


def _job_id(record: logging.LogRecord) -> str:
    return str(getattr(record, "job_id", "")) or JOB_ID.get()


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
