"""Who of a room is told of first, and in which shares the bytes came."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.ogcore.console.together import parting, seats, shares
from simulator.ogcore.views import TraceView


def trace(client: str, state: str, progress: int, **more: Any) -> TraceView:
    facts = {"id": "1", "command": "deploy-image", "image": "x", "partition": "1/2", "method": "p2p", "job_id": "j"}
    return TraceView(
        client=client, state=state, progress=progress, text="", created="", finished=None, **(facts | more)
    )


def words(*traces: TraceView) -> list[tuple[str, str]]:
    return [(seat.trace.client, seat.word) for seat in seats(traces)]


def test_who_needs_somebody_comes_first() -> None:
    found = words(
        trace("pc2", "success", 100),
        trace("pc10", "in-progress", 80),
        trace("pc3", "success", 100, left="link too slow"),
        trace("pc4", "in-progress", 10),
        trace("pc5", "failed", 5),
        trace("pc9", "in-progress", 80),
    )
    assert found == [
        ("pc5", "failed"),
        ("pc4", "late"),
        ("pc3", "left"),
        ("pc9", "in-progress"),
        ("pc10", "in-progress"),
        ("pc2", "success"),
    ]


def test_late_is_who_is_behind_the_others() -> None:
    """Not all of them, when it has just begun."""
    assert words(trace("pc1", "pending", 0), trace("pc2", "in-progress", 19)) == [
        ("pc1", "pending"),
        ("pc2", "in-progress"),
    ]
    assert words(trace("pc1", "pending", 0), *(trace(f"pc{n}", "in-progress", 20) for n in (2, 3)))[0][1] == "late"
    assert words() == []


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({}, []),
        ({"multicast": 0, "peers": 0, "repository": 0, "cache": 0}, []),
        ({"multicast": 61, "peers": 37, "repository": 2}, [(61, "multicast"), (37, "peers"), (2, "repository")]),
        ({"repository": 1, "cache": 999}, [(100, "cache"), (1, "repository")]),
        ({"elsewhere": 5, "cache": 5}, [(100, "cache")]),
    ],
)
def test_shares(sources: dict[str, int], expected: list[tuple[int, str]]) -> None:
    assert shares(sources) == expected


def test_why_a_session_was_left() -> None:
    assert parting("left the session after 12 s: link too slow") == "after 12 s: link too slow"
    assert parting("link too slow") == "link too slow"
