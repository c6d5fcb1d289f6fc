"""The names behind the numbers of PCI and USB: ``pci.ids`` and ``usb.ids``, as Debian (misc) and others (hwdata) have
them. Their form: ``8086  Intel Corporation``, and below it, after a tab, ``15bb  Ethernet Connection (7) I219-LM``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ogagent.hardware.sysfs import content
from ogagent.system.text import printable

_PLACES: Final = ("usr/share/misc", "usr/share/hwdata")
_LARGEST: Final = 8 << 20
_LINE: Final = re.compile(r"(?P<tab>\t?)(?P<number>[0-9a-f]{4}) {2}(?P<name>[^\n]+)\n?")

Ids = tuple[str, str]
"""Of vendor and product: four hexadecimal digits each."""


def names(root: Path, file: str, wanted: Collection[Ids]) -> dict[Ids, tuple[str, str]]:
    """Vendor and product; a product without a name has its number, and so has all of them where the file is missing."""
    found = next(filter(None, (content(root / place / file, _LARGEST) for place in _PLACES)), b"")
    vendors, products = _read(found, wanted)
    return {ids: (vendors.get(ids[0], ids[0]), products.get(ids, ids[1])) for ids in wanted}


def _read(listed: bytes, wanted: Collection[Ids]) -> tuple[dict[str, str], dict[Ids, str]]:
    known = {vendor for vendor, _ in wanted}
    vendors: dict[str, str] = {}
    products: dict[Ids, str] = {}
    vendor = ""
    for raw in io.BytesIO(listed):
        if raw[:1] != b"\t":
            vendor = ""
        elif not vendor:
            continue
        found = _LINE.fullmatch(raw.decode("utf-8", "replace"))
        if found is None:
            continue
        number, name = found["number"], printable(found["name"])
        if found["tab"] and (vendor, number) in wanted:
            products[vendor, number] = name
        elif not found["tab"] and number in known:
            vendor, vendors[number] = number, name
    return vendors, products
