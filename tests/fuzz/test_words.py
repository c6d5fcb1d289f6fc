"""Text and first bytes from outside: any of it gives an answer or none, never an error, and never more than may be."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from ogagent.image.strangers import stranger_in
from ogagent.image.sums import md5_in
from ogagent.source.answer import ContentRange

calm = settings(derandomize=True, max_examples=500)
SUM: Final = "0123456789abcdef" * 2


def words(*known: str) -> st.SearchStrategy[str]:
    """These in any order, with anything between them."""
    return st.lists(st.sampled_from(known) | st.text(max_size=3), max_size=12).map("".join)


@calm
@given(words(SUM, SUM.upper(), "MD5", "(", ")", "=", " ", "*", "\\", "x.img", "\n", "\r", "\ufeff", "/"), st.booleans())
def test_sums(text: str, wide: bool) -> None:
    content = text.encode("utf-16" if wide else "utf-8", "surrogatepass")
    assert md5_in(content, "x.img") in (None, SUM)


@calm
@given(st.binary(max_size=200))
def test_sums_of_any_bytes(content: bytes) -> None:
    assert md5_in(content, "x.img") is None


@calm
@given(words("bytes", "Bytes", " ", "=", "-", "/", "*", "0", "1", "99999", "9" * 18, "\t", "²"))
def test_ranges(text: str) -> None:
    found = ContentRange.parse(text)
    assert found is None or (
        0 <= found.start <= found.stop <= 10**18 and (found.total is None or found.stop <= found.total)
    )


@calm
@given(st.binary(max_size=600), st.integers(0, 70_000), st.binary(max_size=16))
def test_first_bytes(start: bytes, place: int, more: bytes) -> None:
    head = start.ljust(place, b"\0") + more
    found = stranger_in(head)
    assert found is None or (found.name and found.hint and len(found.name + found.hint) < 300)
