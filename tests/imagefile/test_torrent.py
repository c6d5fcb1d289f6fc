"""The torrent of an image is what those who read torrents take it for."""

from __future__ import annotations

from pathlib import Path

import libtorrent as lt
import pytest

from ogagent.errors import ImageLocked
from ogagent.imagefile.torrent import make_torrent

DATA = bytes(range(256)) * 10_000
TRACKER = "http://192.168.2.1:6969/announce"


@pytest.mark.parametrize("size", [len(DATA), 1 << 20, 1])
def test_it_is_read(tmp_path: Path, size: int) -> None:
    image = tmp_path / "ubuntu.img"
    image.write_bytes(DATA[:size])
    make_torrent(image, TRACKER)
    read = lt.load_torrent_file(f"{image}.torrent")
    assert read.ti is not None
    assert (read.trackers, read.ti.name(), read.ti.total_size()) == ([TRACKER], "ubuntu.img", size)
    assert (read.ti.piece_length(), read.ti.num_pieces()) == (1 << 20, -(-size // (1 << 20)))
    session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False})
    read.save_path = f"{tmp_path}"
    handle = session.add_torrent(read)
    while not handle.status().is_seeding:  # it has read the image, and found each piece to be right
        session.wait_for_alert(100)
        session.pop_alerts()


def test_not_of_what_somebody_works_on(tmp_path: Path) -> None:
    image = tmp_path / "ubuntu.img"
    image.write_bytes(DATA)
    image.with_name("ubuntu.img.lock").touch()
    with pytest.raises(ImageLocked):
        make_torrent(image, TRACKER)
