"""A HEIC as phones write them: a grid of tiles, here all the same one."""

import io
import struct
from collections.abc import Iterator

import pillow_heif
from PIL import Image

TILE = 512


def grid(colour: tuple[int, int, int], columns: int, rows: int, profile: bytes = b"") -> bytes:
    """A picture of `columns` × `rows` tiles of 512 px; a few KB, whatever its size."""
    one = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (TILE, TILE), colour)).save(one, quality=90)
    file = one.getvalue()
    properties = dict(_boxes(_inside(file, b"meta", b"iprp", b"ipco")))
    coded = dict(_boxes(file))[b"mdat"]
    return _put_together(properties[b"hvcC"], coded, columns, rows, profile)


def _put_together(hvcc: bytes, coded: bytes, columns: int, rows: int, profile: bytes) -> bytes:
    count = columns * rows
    tiles = range(2, count + 2)
    sides = struct.pack(">II", columns * TILE, rows * TILE)
    body = bytes([0, 1, rows - 1, columns - 1]) + sides
    entries = _entry(1, b"grid") + b"".join(_entry(tile, b"hvc1") for tile in tiles)
    properties = [
        _box(b"hvcC", hvcc), _box(b"ispe", bytes(4) + struct.pack(">II", TILE, TILE)),
        _box(b"ispe", bytes(4) + sides),
    ]  # fmt: skip
    own = [3]
    if profile:
        properties.append(_box(b"colr", b"prof" + profile))
        own.append(4)
    related = _association(1, own) + b"".join(_association(tile, [0x81, 2]) for tile in tiles)
    ftyp = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(start: int) -> bytes:
        places = _place(1, start, len(body))
        places += b"".join(_place(tile, start + len(body), len(coded)) for tile in tiles)
        parts = [
            _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            _box(b"pitm", bytes(4) + struct.pack(">H", 1)),
            _box(b"iinf", bytes(4) + struct.pack(">H", count + 1) + entries),
            _box(b"iref", bytes(4) + _box(b"dimg", struct.pack(f">HH{count}H", 1, count, *tiles))),
            _box(b"iprp", _box(b"ipco", b"".join(properties))
                 + _box(b"ipma", bytes(4) + struct.pack(">I", count + 1) + related)),
            _box(b"iloc", bytes(4) + b"\x44\x00" + struct.pack(">H", count + 1) + places),
        ]  # fmt: skip
        return _box(b"meta", bytes(4) + b"".join(parts))

    start = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + _box(b"mdat", body + coded)


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def _entry(item: int, kind: bytes) -> bytes:
    return _box(b"infe", b"\x02\x00\x00\x00" + struct.pack(">HH", item, 0) + kind + b"\x00")


def _association(item: int, properties: list[int]) -> bytes:
    return struct.pack(">HB", item, len(properties)) + bytes(properties)


def _place(item: int, at: int, length: int) -> bytes:
    return struct.pack(">HHHII", item, 0, 1, at, length)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + length]
        at += length


def _inside(data: bytes, *names: bytes) -> bytes:
    for name in names:
        data = dict(_boxes(data))[name]
        data = data[4:] if name == b"meta" else data
    return data
