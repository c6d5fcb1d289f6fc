"""For atheris, which is led by the code that an input reaches.

``python -m tests.fuzz.coverage_guided [-runs=N] FOUND CORPUS``: what reaches new code is put into the folder FOUND. An
input that fails goes into the corpus and is tested ever after.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["ogagent.image"]):
    from tests.fuzz.judge import judge, sealed


def one(data: bytes) -> None:
    """How the bytes are cut into chunks must make no difference."""
    for image in (data, sealed(data)):
        if judge(image) != judge(image, 61):
            raise AssertionError("the chunks of the source changed what an image means")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
