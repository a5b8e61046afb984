"""Decodes images, in a process of its own: what a stranger's file costs, it costs there.

`python -m inference.image_decoder` reads requests from its standard input and writes replies, with
limits on memory and time set by `inference.image_pool`. It imports no Django.
"""

import io
import json
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pillow_heif
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from inference import image_png
from inference.image_colour import to_srgb
from inference.image_depth import eight_bits, is_deep
from inference.image_tiff import read_deep

MAX_SIDE = 2048
"""Longer sides are reduced before storing: the largest tiling reads about 1,400 pixels a side."""
MAX_ASPECT = 64
KEPT_AS_IS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_SHALLOW = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA",
    "CMYK": "CMYK", "LAB": "LAB",
}  # fmt: skip
"""What each mode becomes before it is reduced; others become RGB."""
_TURNS = Image.Transpose
_UPRIGHT = {
    2: _TURNS.FLIP_LEFT_RIGHT, 3: _TURNS.ROTATE_180, 4: _TURNS.FLIP_TOP_BOTTOM, 5: _TURNS.TRANSPOSE,
    6: _TURNS.ROTATE_270, 7: _TURNS.TRANSVERSE, 8: _TURNS.ROTATE_90,
}  # fmt: skip
"""EXIF's orientation, and what puts the picture upright."""
_STATM = Path("/proc/self/statm")
_HEAD = struct.Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image in its normal form: RGB, upright, at most 2048 px a side."""

    data: bytes | None
    """A file of it; None where the one that came is it already."""
    extension: str
    width: int
    height: int


class Refused(Exception):
    """Why an image is not read: `broken`, `unknown`, `shape`, `pixels` or `memory`."""


def decode(data: bytes, kind: str, max_pixels: int) -> Decoded:
    """Bring a file of one format (Pillow's name) into the normal form.

    Args:
        max_pixels: that are made room for. A JPEG may have more: it is reduced while it is decoded.

    Raises:
        Refused: it cannot be.
    """
    deep = read_deep(data, max_pixels) if kind == "TIFF" else None
    if deep is not None:
        return _normal(deep.image, deep.orientation, deep.profile)
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except UnidentifiedImageError as error:
        # Of a TIFF that is a sound kind which is not read here, as complex numbers.
        raise Refused("unknown" if kind == "TIFF" else "broken") from error
    size = image.size
    if max(size) > MAX_ASPECT * min(size):
        raise Refused("shape")
    if max(size) > MAX_SIDE:
        # JPEG alone can be decoded at a half, a quarter, an eighth; the rest of the way is resampled.
        across, down = (max(1, side * MAX_SIDE // max(size)) for side in size)
        image.draft(None, (across, down))
    if image.width * image.height > max_pixels:
        raise Refused("pixels")
    raw = image_png.layout(image) if kind == "PNG" else ""
    image.load()
    scaled = image_png.read_deep(data, image, raw)
    plain = (
        scaled is None
        and image.format in KEPT_AS_IS
        and image.mode == "RGB"
        and max(size) <= MAX_SIDE
        and not getattr(image, "is_animated", False)
        and not image.getexif()
        and not {"icc_profile", "exif", "xmp", "transparency"} & set(image.info)
    )
    if plain:
        return Decoded(None, KEPT_AS_IS[image.format or ""], *size)
    return _normal(
        _shallow(image) if scaled is None else scaled, image.getexif().get(0x0112, 1),
        image.info.get("icc_profile"),
    )  # fmt: skip


def _normal(image: Image.Image, orientation: int, profile: bytes | None) -> Decoded:
    """Of bearable size first, so that all else works on few pixels; then sRGB, opaque and upright."""
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    rgb = _opaque(image, profile)
    turn = _UPRIGHT.get(orientation)
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}  # a PNG would carry its profile on
    out = io.BytesIO()
    rgb.save(out, "PNG", compress_level=1)
    return Decoded(out.getvalue(), "png", *rgb.size)


def _shallow(image: Image.Image) -> Image.Image:
    """Any mode as one that can be reduced well and that a profile can be of: L, LA, RGB, RGBA, CMYK or
    LAB, with eight bits a sample."""
    if is_deep(image):
        return eight_bits(image, is_inverted=_is_white_zero(image))
    if "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    mode = _SHALLOW.get(image.mode, "RGB")
    return image if image.mode == mode else image.convert(mode)


def _is_white_zero(image: Image.Image) -> bool:
    # Pillow turns it round up to eight bits, and not above.
    return isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0


def _opaque(image: Image.Image, profile: bytes | None) -> Image.Image:
    """sRGB; what is clear lies on white."""
    if image.mode not in ("LA", "RGBA"):
        return to_srgb(image, profile)
    colours = image.convert("RGB") if image.mode == "RGBA" else image.getchannel("L")
    white = Image.new("RGB", image.size, (255, 255, 255))
    return Image.composite(to_srgb(colours, profile), white, image.getchannel("A"))


def _memory_used() -> int:
    return int(_STATM.read_text().split()[0]) * resource.getpagesize()


def _limit(memory_bytes: int) -> None:
    if memory_bytes and _STATM.exists():
        limit = _memory_used() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    # Processor time, not time: a busy machine must not fail an honest image. The default action of
    # the signal ends this process wherever it is.
    signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
    try:
        done = decode(data, request["kind"], request["max_pixels"])
    except Refused as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"refused": "memory"}, b""
    except Exception as error:  # noqa: BLE001  # decoders raise anything from SyntaxError to struct.error
        is_memory = "memory" in str(error).lower() or "failed to allocate" in str(error).lower()
        return {"refused": "memory" if is_memory else "broken"}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    about = {"extension": done.extension, "width": done.width, "height": done.height}
    return {**about, "is_new": done.data is not None}, done.data or b""


def main(memory_mb: int) -> None:
    """Answer until the standard input ends."""
    os.nice(5)
    pillow_heif.register_heif_opener(thumbnails=False)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # our own limits come first
    Image.preinit()
    Image.init()
    _limit(memory_mb * 2**20)
    # What a library prints of a stranger's file must get neither between the replies nor into the log.
    replies, nowhere = os.fdopen(os.dup(1), "wb"), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    requests = sys.stdin.buffer
    while (got := receive(requests)) is not None:
        send(replies, *_answer(got[1], got[0]))


def send(file: IO[bytes], about: dict[str, Any], data: bytes) -> None:
    """Write one message."""
    head = json.dumps(about).encode()
    file.write(_HEAD.pack(len(head), len(data)) + head)
    file.write(data)
    file.flush()


def receive(file: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None at the end."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    about, data = _HEAD.unpack(head)
    told, body = file.read(about), file.read(data)
    return (json.loads(told), body) if len(told) + len(body) == about + data else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
