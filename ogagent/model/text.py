"""Text that somebody else has sent: what it may hold, in words that a JSON schema understands as well."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 200

# Unicode's categories Cc, Cf, Zl and Zp as far as they are in the first plane: what controls a terminal, ends a line,
# turns the text around or is not seen at all. Spelled out, for no two dialects of patterns agree on category names.
_UNSEEN: Final = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
SEEN: Final = f"[^{_UNSEEN}]"
"""Pattern of one character."""
_TEXT: Final = re.compile(f"{SEEN}*")
_HALVES: Final = re.compile(r"[\ud800-\udfff]")


def is_printable(text: str) -> bool:
    """Half a surrogate pair, which JSON can spell, is no character at all: no schema has to name it."""
    return _TEXT.fullmatch(text) is not None and _HALVES.search(text) is None
