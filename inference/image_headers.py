"""What an image file says of itself, read from its bytes alone: no decoder runs, nothing is allocated.

Decoders make room for what a header claims, so claims are judged before one is opened. Sources: PNG
(W3C, third edition), JPEG (ITU T.81), WebP (RFC 9649), GIF89a, BMP (Microsoft), TIFF 6.0, and ISO base
media files with HEIF's `ispe` (ISO/IEC 14496-12 and 23008-12).
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PARTS = 20_000
"""Chunks, segments, blocks or boxes that are walked through; no camera or program writes as many."""
MAX_SCANS = 64
"""Passes over a progressive JPEG. Encoders write about ten; each costs as much as a whole image."""

_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


class NoImage(ValueError):
    """No format that is read here."""


class BadHeader(ValueError):
    """The file is damaged."""


class CostlyHeader(BadHeader):
    """The file is made to cost: so many parts, so many scans."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file claims."""

    format: str
    """Pillow's name of it."""
    width: int
    height: int
    scans: int = 1
    kept_bytes: int = 0
    """What a decoder keeps of the whole picture, however small it makes it: a JPEG's coefficients."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes) -> Header:
    """The largest picture that a file's headers claim.

    Raises:
        NoImage: none of the formats read here.
        BadHeader: it claims nothing, or the file ends before.
        CostlyHeader: it has more parts than any program writes.
    """
    for begins, read in (
        (b"\x89PNG\r\n\x1a\n", _png), (b"\xff\xd8\xff", _jpeg), (b"GIF87a", _gif), (b"GIF89a", _gif),
        (b"BM", _bmp), (b"II*\x00", _tiff), (b"MM\x00*", _tiff), (b"II+\x00", _tiff), (b"MM\x00+", _tiff),
    ):  # fmt: skip
        if data.startswith(begins):
            return _checked(read, data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _checked(_webp, data)
    if data[4:8] == b"ftyp":
        return _checked(_heif, data)
    raise NoImage("no image")


def _checked(read: Callable[[bytes], Header], data: bytes) -> Header:
    try:
        found = read(data)
    except (struct.error, IndexError) as error:
        raise BadHeader("it ends in its header") from error
    if found.width < 1 or found.height < 1:
        raise BadHeader("it has no pixels")
    return found


def _bounded(count: int) -> None:
    if count > MAX_PARTS:
        raise CostlyHeader("it has too many parts")


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise BadHeader("its header is missing")
    width, height = struct.unpack_from(">II", data, 16)
    at, parts = 8, 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        at += 12 + int(struct.unpack_from(">I", data, at)[0])
        parts += 1
        _bounded(parts)
    return Header("PNG", width, height)


def _jpeg(data: bytes) -> Header:
    width = height = scans = kept = 0
    for kind, at in _jpeg_segments(data):
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            down, across = struct.unpack_from(">HH", data, at + 5)
            width, height = max(width, across), max(height, down)
            kept = max(kept, _coefficient_bytes(data, at, down * across))
        elif kind == 0xDA:
            scans += 1
            if scans > MAX_SCANS:
                raise CostlyHeader("it has too many scans")
    return Header("JPEG", width, height, scans=max(1, scans), kept_bytes=kept if scans > 1 else 0)


def _coefficient_bytes(data: bytes, at: int, pixels: int) -> int:
    """Two bytes for each sample of each component, by how often the frame at `at` takes one."""
    factors = [data[at + 11 + 3 * n] for n in range(data[at + 9])]
    areas = [(factor >> 4) * (factor & 15) for factor in factors]
    return 2 * pixels * sum(areas) // max(1, *areas)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The mark and the place of every segment to the end of the picture."""
    at, parts = 2, 0
    while at + 4 <= len(data):
        parts += 1
        _bounded(parts)
        kind = data[at + 1]
        if data[at] != 0xFF:  # some cameras leave bytes between segments
            at = data.find(b"\xff", at) % (len(data) + 1)
        elif kind == 0xFF:  # filling
            at += 1
        elif kind == 0xD9:
            return
        elif kind == 0x01 or 0xD0 <= kind <= 0xD8:
            at += 2
        else:
            yield kind, at
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
            if kind == 0xDA:
                following = _AFTER_SCAN.search(data, at)
                at = following.start() if following else len(data)


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    parts = 0
    while at < len(data):
        if data[at] == 0x2C:
            left, top, across, down = struct.unpack_from("<4H", data, at + 1)
            return Header("GIF", max(width, left + across), max(height, top + down))
        if data[at] != 0x21:
            break
        at += 2
        while data[at]:
            at += 1 + data[at]
            parts += 1
            _bounded(parts)
        at += 1
    raise BadHeader("it has no picture")


def _bmp(data: bytes) -> Header:
    length = int(struct.unpack_from("<I", data, 14)[0])
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return Header("BMP", abs(width), abs(height))


def _tiff(data: bytes) -> Header:
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\x00", b"\x00+")
    at = int(struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", data, 8 if is_big else 4)[0])
    count = int(struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, at)[0])
    _bounded(count)
    at += 8 if is_big else 2
    found: dict[int, int] = {}
    for entry in range(at, at + count * (20 if is_big else 12), 20 if is_big else 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if form and tag in (256, 257, 322, 323):
            found[tag] = int(
                struct.unpack_from(f"{order}{form}", data, entry + (12 if is_big else 8))[0]
            )
    # A tile may be larger than the picture: it is what the decoder makes room for.
    return Header(
        "TIFF", max(found.get(256, 0), found.get(322, 0)), max(found.get(257, 0), found.get(323, 0))
    )


def _webp(data: bytes) -> Header:
    at, parts, width, height = 12, 0, 0, 0
    while at + 8 <= len(data):
        parts += 1
        _bounded(parts)
        kind, length = data[at : at + 4], int(struct.unpack_from("<I", data, at + 4)[0])
        across, down = _webp_size(kind, data, at + 8)
        width, height = max(width, across), max(height, down)
        at += 8 + length + (length & 1)
    return Header("WEBP", width, height)


def _webp_size(kind: bytes, data: bytes, at: int) -> tuple[int, int]:
    if kind == b"VP8 " and at + 10 <= len(data):
        across, down = struct.unpack_from("<HH", data, at + 6)
        return across & 0x3FFF, down & 0x3FFF
    if kind == b"VP8L" and at + 5 <= len(data):
        bits = int(struct.unpack_from("<I", data, at + 1)[0])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind in (b"VP8X", b"ANMF"):
        first = at + (4 if kind == b"VP8X" else 6)
        sides = data[first : first + 6]
        if len(sides) < 6:
            raise IndexError
        return int.from_bytes(sides[:3], "little") + 1, int.from_bytes(sides[3:], "little") + 1
    return 0, 0


def _heif(data: bytes) -> Header:
    length = int(struct.unpack_from(">I", data, 0)[0])
    brands = {data[at : at + 4] for at in (8, *range(16, min(length, 256), 4))}
    if not brands & (_AVIF | _HEIF):
        raise NoImage("another medium")
    width = height = 0
    for across, down in _heif_sizes(data, 0, len(data), [0]):
        width, height = max(width, across), max(height, down)
    return Header("AVIF" if brands & _AVIF else "HEIF", width, height)


_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
"""Boxes that hold boxes, and the bytes before those."""


def _heif_sizes(data: bytes, at: int, end: int, seen: list[int]) -> Iterator[tuple[int, int]]:
    while at + 8 <= end:
        seen[0] += 1
        _bounded(seen[0])
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            length, head = int(struct.unpack_from(">Q", data, at + 8)[0]), 16
        elif length == 0:
            length = end - at
        if length < head:
            raise BadHeader("a box is shorter than its head")
        last = min(at + length, end)
        if kind == b"ispe":
            yield struct.unpack_from(">II", data, at + head + 4)
        elif kind == b"tkhd":
            across, down = struct.unpack_from(">II", data, last - 8)
            yield across >> 16, down >> 16
        elif kind in _INSIDE:
            yield from _heif_sizes(data, at + head + _INSIDE[kind], last, seen)
        at = last
