"""Files that are cheap to send and dear to read, built by hand."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.images import encode


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A real PNG of one colour: some KB for any number of pixels."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = b"\x00" + bytes(width * channels * depth // 8)
    packer, body = zlib.compressobj(9), bytearray()
    for _ in range(height):
        body += packer.compress(row)
    body += packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + extra + png_chunk(b"IDAT", bytes(body))
        + png_chunk(b"IEND", b"")
    )  # fmt: skip


def png_of(samples: np.ndarray) -> bytes:
    """A PNG of 16 bits of height × width × samples (1 grey, 2 and opacity, 3 colours, 4 and opacity)."""
    height, width, count = samples.shape
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[count - 1], 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )  # fmt: skip


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def webp(width: int, height: int) -> bytes:
    """38 bytes that claim a canvas."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + b"VP8L" + struct.pack("<I", 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of_scans(scans: int, side: int = 2000) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encode(
        Image.effect_noise((side, side), 1).convert("L"), "JPEG", progressive=True, quality=5
    )
    starts, at = [], 0
    while (at := data.find(b"\xff\xda", at + 1)) >= 0:
        starts.append(at)
    again = data[starts[-1] : data.rindex(b"\xff\xd9")]
    return data[: data.rindex(b"\xff\xd9")] + again * (scans - len(starts)) + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    """A tiny GIF whose frame claims a size, whatever the screen."""
    return (
        b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
        + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00\x3b"
    )  # fmt: skip


def bmp(width: int, height: int) -> bytes:
    """A BMP of headers alone."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 8, 0, 0, 54) + info + bytes(8)


def tiff(width: int, height: int, tile: int = 0) -> bytes:
    """A TIFF whose directory claims a size, or a tile of one."""
    tags = [(256, width), (257, height), (258, 8), (259, 5), (262, 1), (273, 8), (277, 1), (278, height),
            (279, 8)]  # fmt: skip
    if tile:
        tags += [(322, tile), (323, tile)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    return (
        b"II*\x00"
        + struct.pack("<I", 16)
        + bytes(8)
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def iso(brand: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIF of boxes alone."""

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    size = box(b"ispe", bytes(4) + struct.pack(">II", width, height))
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", size)))
    return box(b"ftyp", brand + bytes(4) + brand) + meta


def with_exif_bomb() -> bytes:
    """A JPEG whose EXIF directory claims four thousand million entries' worth of data."""
    entry = struct.pack("<HHII", 0x0112, 3, 0xFFFFFFFF, 0)
    exif = b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 0xFFFF) + entry * 4000
    data = encode(Image.new("RGB", (64, 64)), "JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def text_bombs() -> bytes:
    """Twenty chunks of 50 MB each, packed."""
    packed = zlib.compress(bytes(50_000_000), 9)
    text = b"".join(png_chunk(b"zTXt", b"k%d\x00\x00" % n + packed) for n in range(10))
    profile = png_chunk(b"iCCP", b"p\x00\x00" + packed)
    return png(64, 64, extra=profile + text)


def of_chunks(count: int) -> bytes:
    """A PNG of very many empty chunks."""
    return png(64, 64, extra=png_chunk(b"teSt", b"") * count)


def truncated(data: bytes) -> bytes:
    """The first half."""
    return data[: len(data) // 2]


def animated(frames: int = 200) -> bytes:
    """A GIF of many frames."""
    pictures = [Image.new("P", (1000, 1000), n % 250) for n in range(frames)]
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
    return out.getvalue()


def jpeg_header(width: int, height: int) -> bytes:
    """A JPEG of one frame's header."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0])
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    )
