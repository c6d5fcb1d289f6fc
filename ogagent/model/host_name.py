"""What may be the name of a machine: RFC 1123, 2.1; 63 characters are the most of hostname(7) and of a DNS label."""

from __future__ import annotations

import re
from typing import Final

RULE: Final = "letters, digits and hyphens, 63 at most"
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def is_host_name(text: str) -> bool:
    """Without a domain."""
    return _LABEL.fullmatch(text) is not None
