"""Uploaded images: bounded before they are decoded, decoded once, stored by content."""

import base64
import binascii
import contextlib
import hashlib
import io
import os
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import pillow_heif
from django.conf import settings
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from inference.errors import InvalidInput, TooLarge, Unsupported

pillow_heif.register_heif_opener()
ImageFile.LOAD_TRUNCATED_IMAGES = False

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
_MAX_ASPECT = 64
_MAX_SIDE = 2048
"""Longer sides are reduced before storing: the largest tiling reads about 1,400 pixels a side."""
_KEPT_AS_IS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*?;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NormalisedImage:
    """An image as it will be stored: RGB, upright, at most 2048 px a side, without metadata."""

    data: bytes
    extension: str
    width: int
    height: int
    sha256: str


def data_url_bytes(url: str) -> bytes:
    """The bytes of a base64 data URL.

    Raises:
        InvalidInput: a remote URL (never fetched), or not a data URL, or broken base64.
        TooLarge: over the limit, told from the length before decoding.
    """
    if url.lower().startswith(("http://", "https://")):
        raise InvalidInput(
            "Remote image URLs are not fetched.",
            code="remote_image",
            hint="Send the image itself as a data URL: data:image/jpeg;base64,…",
        )
    match = _DATA_URL.match(url[:200])
    if match is None:
        raise InvalidInput(
            "image_url is not a base64 data URL.",
            code="bad_image_url",
            hint="It must begin with data:image/jpeg;base64, (or another image type).",
        )
    encoded = url[match.end() :]
    check_size(len(encoded) * 3 // 4)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            "The image's base64 is broken.", code="bad_image_url", hint="Encode the file again."
        ) from error


def check_size(size: int) -> None:
    """Refuse a file by its size alone."""
    if size > settings.INFERENCE_MAX_IMAGE_BYTES:
        limit = settings.INFERENCE_MAX_IMAGE_BYTES // (1024 * 1024)
        raise TooLarge(
            f"The image is larger than {limit} MB.",
            code="image_too_large",
            hint="Send a smaller one.",
        )


def normalise(data: bytes) -> NormalisedImage:
    """Check an uploaded file and bring it into the one form the rest of the system knows.

    Raises:
        InvalidInput, TooLarge, Unsupported: with a code and a hint for the uploader.
    """
    if not data:
        raise InvalidInput(
            "The image file is empty.", code="empty_image", hint="Choose another file."
        )
    check_size(len(data))
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        raise Unsupported(
            "SVG is a drawing, not a photograph.",
            code="unsupported_image",
            hint=f"Export it as one of {ACCEPTED}.",
        )
    with warnings.catch_warnings():
        # Our own pixel limit below comes first; Pillow's warning would only be noise.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise Unsupported(
                "This file is not an image we can read.",
                code="unsupported_image",
                hint=f"Use {ACCEPTED}.",
            ) from error
        except Image.DecompressionBombError as error:
            raise _too_many_pixels() from error
        except Exception as error:
            raise _broken() from error
        _check_shape(image.width, image.height)
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            rgb = _rgb(upright)
        except Image.DecompressionBombError as error:
            raise _too_many_pixels() from error
        except Exception as error:  # decoders raise anything from SyntaxError to struct.error
            raise _broken() from error
    plain = (
        image.format in _KEPT_AS_IS
        and image.mode == "RGB"
        and not getattr(image, "is_animated", False)
        and not image.getexif()
        and "icc_profile" not in image.info
        and "exif" not in image.info
        and "xmp" not in image.info
        and max(rgb.size) <= _MAX_SIDE
    )
    if plain:
        stored, extension = data, _KEPT_AS_IS[image.format or ""]
    else:
        rgb.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        rgb.save(out, "PNG", compress_level=1)
        stored, extension = out.getvalue(), "png"
    digest = hashlib.sha256(stored).hexdigest()
    return NormalisedImage(stored, extension, rgb.width, rgb.height, digest)


def write(image: NormalisedImage, name: str) -> None:
    """Store a file atomically: it is there whole or not at all."""
    target = Path(settings.IMAGE_STORE_DIR) / name
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(image.data)
        Path(partial).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(partial).unlink()
        raise


def read(name: str) -> Image.Image:
    """Open a stored image as RGB.

    Raises:
        FileNotFoundError: it was purged.
    """
    with Image.open(Path(settings.IMAGE_STORE_DIR) / name) as image:
        return image.convert("RGB")


def delete(name: str) -> None:
    """Remove a stored file, if it is there."""
    (Path(settings.IMAGE_STORE_DIR) / name).unlink(missing_ok=True)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency on white, 16 bits scaled to 8 (Pillow alone would clip)."""
    if image.mode.startswith("I;16") or image.mode == "I":
        _, high = image.getextrema()
        scale = 1 / 257 if isinstance(high, int | float) and high > 255 else 1  # type: ignore[redundant-expr]
        image = image.convert("I").point(lambda v: v * scale).convert("L")
    elif image.mode == "F":
        image = image.point(lambda v: v * 255 if v <= 1 else v).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _check_shape(width: int, height: int) -> None:
    if width * height > settings.INFERENCE_MAX_IMAGE_PIXELS:
        raise _too_many_pixels()
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise InvalidInput(
            f"{width} × {height} pixels is too long and thin to be looked at.",
            code="image_shape",
            hint=f"Sides may differ by a factor of {_MAX_ASPECT} at most: crop it.",
        )


def _too_many_pixels() -> TooLarge:
    limit = settings.INFERENCE_MAX_IMAGE_PIXELS // 1_000_000
    return TooLarge(
        f"The image has more than {limit} million pixels.",
        code="too_many_pixels",
        hint="Scale it down and send it again.",
    )


def _broken() -> InvalidInput:
    return InvalidInput(
        "The image file is damaged or incomplete.",
        code="broken_image",
        hint="Save or export it again and retry.",
    )
