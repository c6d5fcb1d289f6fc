"""The MD5 sums that OpenGnsys keeps beside an image, as ``md5sum`` writes them."""

from __future__ import annotations

import re
from typing import Final

_MD5: Final = re.compile(rb"\s*([0-9a-fA-F]{32})(\s|$)")


def md5_in(content: bytes) -> str | None:
    """In lower case; None when there is none."""
    found = _MD5.match(content)
    return found[1].decode().lower() if found else None
