"""What Debian wants to know of a package: whose it is, and its changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from email.message import Message
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from systemd.packaging import wheels

MAINTAINER: Final = "The ogagent developers <info@opengnsys.es>"
_COPYRIGHT: Final = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ogagent
Upstream-Contact: {maintainer}
Source: https://opengnsys.es

Files: *
Copyright: {year} the authors of ogagent
License: GPL-3.0-or-later
 This program is free software: you can redistribute it and/or modify it under
 the terms of the GNU General Public License as published by the Free Software
 Foundation, either version 3 of the License, or (at your option) any later
 version. On Debian systems its text is in /usr/share/common-licenses/GPL-3.
"""
_CHANGES: Final = """{name} ({version}) unstable; urgency=medium

  * What changed is in changelog.gz.

 -- {maintainer}  {date}
"""


def changelog(name: str, version: str, made: datetime) -> str:
    return _CHANGES.format(name=name, version=version, maintainer=MAINTAINER, date=format_datetime(made))


def copyright_of(shelf: Iterable[Path], made: datetime) -> str:
    """Each package by its own word; the texts are in the wheels."""
    packages = {(each["Name"], each["Version"]): each for each in map(wheels.papers, shelf)}
    parts = [_COPYRIGHT.format(maintainer=MAINTAINER, year=made.year)]
    for (name, version), said in sorted(packages.items()):
        files = f"usr/lib/ogagent/wheels/*/{str(name).replace('-', '_').lower()}-{version}-*"
        text = " As the files in its .dist-info directory say."
        parts.append(f"Files: {files}\nCopyright: the authors of {name}\nLicense: {_license(said)}\n{text}\n")
    return "\n".join(parts)


def _license(said: Message) -> str:
    """The newer of the two fields that METADATA may have; some older packages have the whole text in the other."""
    classifiers = [each for each in said.get_all("Classifier", []) if each.startswith("License :: OSI Approved :: ")]
    named = said["License-Expression"] or (said["License"] or "").strip()
    if not named or "\n" in named or len(named) > 60:
        named = classifiers[0].rpartition(" :: ")[2] if classifiers else "other"
    return str(named).replace(" ", "-")
