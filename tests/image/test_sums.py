"""Sums as the programs write them, and what is none."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ogagent.image.sums import md5_in

SUM: Final = "0123456789abcdef0123456789ABCDEF"
OTHER: Final = "f" * 32


@pytest.mark.parametrize(
    "form",
    [
        "{}", "{}\n", "{}  x.img\n", "{} *x.img\n", "{}\tx.img", "{} x.img", "  {}  x.img  \n", "{}  -\n",
        "{}  /opt/opengnsys/ogrepository/images/x.img\r\n", "{}  ./aula/x.img\n", "{} *C:\\images\\x.img\r\n",
        "MD5 (x.img) = {}\n", "MD5(x.img)= {}\n", "MD5 (/opt/images/x.img) = {}\n", "md5 (x.img) = {}",
        "MD5(x.img)={}\r\n", "MD5(stdin)= {}\n", "(stdin)= {}\n", "\\{}  x.img\n", "\\MD5 (x.img) = {}\n",
        "\n\n{}\n\n", "{}\r",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_forms(form: str, mark: str) -> None:
    for text in (form, form.replace("\n", "\r\n")):
        content = (mark + text.format(SUM)).encode()
        assert md5_in(content, "x.img") == SUM.lower()
    assert md5_in((form.format(SUM)).encode("utf-16"), "x.img") == SUM.lower()


@pytest.mark.parametrize(
    "text",
    [
        f"{OTHER}  y.img\n{SUM}  x.img\n",
        f"{SUM}  x.img\n{OTHER}  y.img\n",
        f"{OTHER}\n{SUM}  x.img\n",
        f"{OTHER}  x.img.info\n{OTHER}  xx.img\nMD5 (aula/x.img) = {SUM}\n",
        f"{SUM}  x.img\n{SUM.lower()} *x.img\n",
        f"# by hand\n; of today\n{SUM}  x.img\n",
        f"{OTHER}  y.img\n{SUM}\n",
        f"SHA256 (x.img) = {OTHER}{OTHER}\nMD5 (x.img) = {SUM}\n",
    ],
)
def test_the_line_that_names_the_file_wins(text: str) -> None:
    assert md5_in(text.encode(), "x.img") == SUM.lower()


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "<html>not found</html>", SUM[:31], SUM + "0", f"{SUM}x.img", f"x{SUM}", f"{SUM}  y.img\n",
        f"MD5 (y.img) = {SUM}\n", f"SHA1 (x.img) = {SUM}01234567\n", f"SHA256 (x.img) = {SUM}{SUM}\n",
        f"{SUM}  x.img\n{OTHER}  aula/x.img\n", f"{SUM}\n{OTHER}\n", f"{SUM}  x.img.old\n", f"{SUM}  ax.img\n",
        f"{SUM}  X.IMG\n",
    ],
)  # fmt: skip
def test_nothing_is_guessed(text: str) -> None:
    assert md5_in(text.encode(), "x.img") is None


@pytest.mark.parametrize("content", [b"\xff", b"\xff\xfe", b"\xfe\xff\xd8", b"\xef\xbb", b"\0" * 4096, b"(" * 65536])
def test_any_bytes(content: bytes) -> None:
    assert md5_in(content, "x.img") is None


@pytest.mark.parametrize("name", ["x.img", "a b.img", "a\\b.img", "a\nb.img", "x (1) = y.img", "ñ.img", "-", "\\x.img"])
@pytest.mark.parametrize("command", [("md5sum",), ("md5sum", "-b"), ("md5sum", "--tag"), ("openssl", "md5")])
def test_as_the_programs_write_them(command: tuple[str, ...], name: str, tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if command[0] == "openssl" and set(name) & set("\n-"):
        return  # it escapes nothing, and knows no file called -
    (tmp_path / name).write_bytes(b"content")
    path = "./-" if name == "-" else name
    done = subprocess.run([*command, path], cwd=tmp_path, capture_output=True, check=True, timeout=300)
    assert md5_in(done.stdout, name) == hashlib.md5(b"content").hexdigest()
    assert md5_in(done.stdout, "another.img") is None
