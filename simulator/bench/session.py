"""One benchmark, from its scratch directory to what it prints."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from rich.console import Console

Say = Callable[[str], None]
Result = TypeVar("Result", bound=Struct)


def bench(
    measure: Callable[[Path, Say], Result], printed: Callable[[Result], Sequence[str]], json_file: Path | None
) -> None:
    """Raises LabError, without root, say."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="ogsim-bench-") as scratch, console.status("making the images") as status:
        result = measure(Path(scratch), status.update)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    for part in printed(result):
        console.print(part, soft_wrap=True, highlight=False, markup=False)
