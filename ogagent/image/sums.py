"""The MD5 sums that lie beside an image, as the programs write them that make sums.

``md5sum`` (coreutils) and ``md5 -r``: sum, blanks, a star for binary, name; a line that begins with a backslash has
escapes in its name. ``md5`` of BSD, ``md5sum --tag`` and OpenSSL: ``MD5 (name) = sum``, with or without the blanks.
OpenGnsys writes the sum alone.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import Final, NamedTuple

_SUM_FIRST: Final = re.compile(r"([0-9a-f]{32})(?:[ \t]+\*?(.*))?", re.IGNORECASE)
_SUM_LAST: Final = re.compile(r"(?:MD5)?[ \t]*\((.*)\)[ \t]*=[ \t]*([0-9a-f]{32})", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"\\([\\nr])")
_ESCAPED: Final = {"\\": "\\", "n": "\n", "r": "\r"}
_STANDARD_INPUT: Final = ("-", "stdin")


class _Sum(NamedTuple):
    name: str
    """Empty when the sum is of whatever it lies beside."""
    md5: str


def md5_in(content: bytes, name: str) -> str | None:
    """The sum of the file called ``name``, in lower case; None when there is none, or more than one.

    A line that names the file counts more than one without a name, and of another file's line nothing is believed.
    """
    found = [each for line in re.split(r"[\r\n]+", _text(content)) if (each := _parsed(line.strip()))]
    of_it = {each.md5 for each in found if _names(each.name, name)}
    of_any = {each.md5 for each in found if not each.name}
    sums = of_it or of_any
    return sums.pop() if len(sums) == 1 else None


def _text(content: bytes) -> str:
    """With the byte order marks that Windows' programs write."""
    utf16 = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return content.decode("utf-16" if utf16 else "utf-8-sig", "replace")


def _parsed(line: str) -> _Sum | None:
    plain = line.removeprefix("\\")
    if match := _SUM_LAST.fullmatch(plain):
        name, md5 = match[1], match[2]
    elif match := _SUM_FIRST.fullmatch(plain):
        md5, name = match[1], match[2] or ""
    else:
        return None
    if plain != line:
        name = _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], name)
    return _Sum("" if name in _STANDARD_INPUT else name, md5.lower())


def _names(found: str, name: str) -> bool:
    """With any path before it, of Windows too."""
    return name in (found, found.rpartition("/")[2], re.split(r"[/\\]", found)[-1])
