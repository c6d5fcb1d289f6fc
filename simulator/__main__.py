"""``ogsim``, and ``python -m simulator``."""

from __future__ import annotations

import sys


def main() -> int:
    """Says what is missing when it was installed without its extra."""
    try:
        from simulator.cli import main as run  # noqa: PLC0415 - what is missing shows only here
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        print(f"ogsim: {error.name} is not installed (pip install '.[sim]')", file=sys.stderr)  # noqa: T201 - for a person
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
