"""The index comes from outside: nothing in it is believed before it has been checked."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any, Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from ogagent.errors import ImageCorrupt, SettingsError, SignatureRefused
from ogagent.image import index as image_index
from ogagent.image.index import ImageIndex, Prefix, decode, encode, pack_frames, pack_numbers
from ogagent.image.seekable import pack_frame, seek_table, unpack_frame
from ogagent.image.signature import check_signature, public_key, signing_key

MIB: Final = 1 << 20
INDEX: Final = ImageIndex(
    image="x.img",
    size=1000,
    digest=b"d" * 32,
    format="partclone 0002",
    filesystem="EXTFS",
    block_size=4096,
    device_size=10 * MIB,
    used_blocks=300,
    checksum_size=4,
    region_size=MIB,
    prefix=Prefix(0, 100, b"p" * 32),
    regions=pack_numbers([0, 3, 9]),
    frames=pack_frames([(100, 200), (300, 10), (310, 600)]),
    hashes=bytes(range(96)),
)


def test_there_and_back() -> None:
    index = decode(encode(INDEX))
    assert index == INDEX
    assert list(index.numbers) == [0, 3, 9]
    assert [index.frame(place) for place in range(index.count)] == [(100, 200), (300, 10), (310, 600)]
    assert index.hash(1) == bytes(range(32, 64))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"image": ""},
        {"size": -1},
        {"size": 909},
        {"size": (1 << 64) - 1},
        {"digest": b"d" * 31},
        {"block_size": 0},
        {"block_size": 3000},
        {"region_size": MIB + 4096},
        {"region_size": 4096},
        {"region_size": 128 * MIB},
        {"device_size": 9 * MIB},
        {"prefix": Prefix(0, 101, b"p" * 32)},
        {"regions": pack_numbers([0, 3])},
        {"regions": pack_numbers([0, 3, 9]) + b"\0"},
        {"regions": pack_numbers([0, 3, 3])},
        {"regions": pack_numbers([3, 0, 9])},
        {"frames": pack_frames([(100, 200), (300, 10)])},
        {"frames": pack_frames([(100, 201), (300, 10), (310, 600)])},
        {"frames": pack_frames([(300, 10), (100, 200), (310, 600)])},
        {"frames": pack_frames([(100, 200), (300, 0), (310, 600)])},
        {"frames": pack_frames([(100, 200), (300, 10), (310, 1 << 31)]), "size": 1 << 40},
        {"hashes": bytes(64)},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_impossible_index(change: dict[str, Any]) -> None:
    members = {name: getattr(INDEX, name) for name in INDEX.__struct_fields__}
    with pytest.raises(ImageCorrupt, match="index"):
        decode(pack_frame(msgspec.msgpack.encode(members | change), 1))


@given(st.binary(max_size=300))
@example(b"\x81\xa5\0\0\0\0\x80")  # a name that is no UTF-8
@example(b"\x81\xa1x" + b"\x91" * 100_000)  # lists in lists
def test_arbitrary_bytes(data: bytes) -> None:
    for encoded in (data, pack_frame(data, 1)):
        with pytest.raises(ImageCorrupt):
            decode(encoded)


@given(st.integers(0, 300), st.integers(0, 255))
def test_cut_or_changed(place: int, value: int) -> None:
    encoded = encode(INDEX)
    place %= len(encoded)
    with pytest.raises(ImageCorrupt):
        decode(encoded[:place])
    with pytest.raises(ImageCorrupt):
        decode(encoded + encoded)
    changed = bytearray(encoded)
    changed[place] = value
    if bytes(changed) != encoded:
        with suppress(ImageCorrupt):
            assert decode(bytes(changed)) == INDEX  # a bit that zstd does not use


def test_a_small_file_that_becomes_a_large_one() -> None:
    frame = pack_frame(bytes(image_index.LARGEST_INDEX + 1), 1)
    assert len(frame) < MIB
    with pytest.raises(ImageCorrupt):
        decode(frame)


def test_a_frame_is_one_whole_frame() -> None:
    frame = pack_frame(b"x" * 1000, 3)
    assert unpack_frame(frame, 1000) == b"x" * 1000
    assert unpack_frame(frame, 2000) == b"x" * 1000
    for wrong, limit in ((frame, 999), (frame[:-1], 1000), (frame + b"\0", 1000), (frame + frame, 2000), (b"", 1000)):
        with pytest.raises(ImageCorrupt):
            unpack_frame(wrong, limit)


def test_the_seek_table_as_its_description_says() -> None:
    table = seek_table([(7, 11), (13, 17)])
    magic, size = struct.unpack_from("<II", table)
    assert (magic, size) == (0x184D2A5E, len(table) - 8)
    frames, descriptor, seekable = struct.unpack("<IBI", table[-9:])
    assert (frames, descriptor, seekable) == (2, 0, 0x8F92EAB1)
    assert struct.unpack("<4I", table[8:-9]) == (7, 11, 13, 17)


# --- signatures --------------------------------------------------------------------------------------------------


def test_a_signature_is_by_one_of_the_keys_over_all_of_the_index() -> None:
    one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    data = encode(INDEX)
    signature = one.sign(data)
    assert len(signature) == 64
    check_signature(data, signature, [other.public_key(), one.public_key()])
    for index, signed, keys in (
        (data, None, [one]),
        (data, b"", [one]),
        (data, signature[:-1], [one]),
        (data, signature, [other]),
        (data, signature, []),
        (data[:-1], signature, [one]),
        (data, other.sign(data), [one]),
    ):
        with pytest.raises(SignatureRefused) as refused:
            check_signature(index, signed, [key.public_key() for key in keys])
        assert refused.value.number == 90


def test_keys_that_are_none() -> None:
    for pem in (b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(SettingsError, match=r"k\.pem"):
            signing_key(pem, "k.pem")
        with pytest.raises(SettingsError, match=r"k\.pem"):
            public_key(pem, "k.pem")
