"""For atheris, which is led by the code that an input reaches.

``python -m tests.fuzz.coverage_guided [-runs=N] FOUND CORPUS``: what reaches new code is put into the folder FOUND. An
input that fails goes into the corpus and is tested ever after.
"""

from __future__ import annotations

import resource
import sys
from typing import Final

import atheris

with atheris.instrument_imports(include=["ogagent.image"]):
    from tests.fuzz.judge import judge, sealed


MEMORY: Final = 1 << 30
"""Of address space, a window of zstd among it. libFuzzer's own limit is switched off: it watches the peak of getrusage,
which includes that of the process that started it."""


def one(data: bytes) -> None:
    """How the bytes are cut into chunks must make no difference."""
    for image in (data, sealed(data)):
        if judge(image) != judge(image, 61):
            raise AssertionError("the chunks of the source changed what an image means")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    atheris.Setup([sys.argv[0], "-rss_limit_mb=0", *sys.argv[1:]], one)
    atheris.Fuzz()
