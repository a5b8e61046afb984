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
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pillow_heif
from PIL import Image, ImageFile, UnidentifiedImageError

MAX_SIDE = 2048
"""Longer sides are reduced before storing: the largest tiling reads about 1,400 pixels a side."""
MAX_ASPECT = 64
KEPT_AS_IS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
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

    Raises:
        Refused: it cannot be.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except UnidentifiedImageError as error:
        raise Refused("broken") from error
    if image.width * image.height > max_pixels:
        raise Refused("pixels")
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise Refused("shape")
    size = image.size
    if max(size) > MAX_SIDE:
        # JPEG alone can be decoded at a half, a quarter, an eighth; the rest of the way is resampled.
        image.draft(None, (MAX_SIDE, MAX_SIDE))
    image.load()
    plain = (
        image.format in KEPT_AS_IS
        and image.mode == "RGB"
        and max(size) <= MAX_SIDE
        and not getattr(image, "is_animated", False)
        and not image.getexif()
        and not {"icc_profile", "exif", "xmp"} & set(image.info)
    )
    if plain:
        return Decoded(None, KEPT_AS_IS[image.format or ""], *size)
    turn = _UPRIGHT.get(image.getexif().get(0x0112, 1))
    rgb = _rgb(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}  # a PNG would carry its profile on
    out = io.BytesIO()
    rgb.save(out, "PNG", compress_level=1)
    return Decoded(out.getvalue(), "png", *rgb.size)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB of bearable size: transparency on white, 16 bits scaled to 8 (Pillow alone would
    clip). It is reduced as early as the mode allows, so that few copies of all pixels are made."""
    if image.mode.startswith("I;16") or image.mode == "I":
        _, high = image.getextrema()
        scale = 1 / 257 if isinstance(high, int | float) and high > 255 else 1  # type: ignore[redundant-expr]
        image = image.convert("I").point(lambda v: v * scale).convert("L")
    elif image.mode == "F":
        image = image.point(lambda v: v * 255 if v <= 1 else v).convert("L")
    is_clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    image = image.convert("RGBA" if is_clear else "RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    if is_clear:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    return image


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
    except Image.DecompressionBombError:
        return {"refused": "pixels"}, b""
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
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limits come first
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
