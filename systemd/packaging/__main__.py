"""``python -m systemd.packaging``: makes the packages. The wheels are fetched, unless ``--wheels`` has them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from systemd.packaging import build, wheels


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m systemd.packaging", description=__doc__)
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="where they are, or are to stay; fetched when absent"
    )
    parser.add_argument("--output", type=Path, default=Path("dist"), metavar="DIR", help="(default: dist)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as passing:
        place = options.wheels or Path(passing, "wheels")
        if not place.exists():
            wheels.fetch(place)
        files = [build.build(place, options.output, name=name) for name in wheels.LOCKS]
    for file in files:
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
