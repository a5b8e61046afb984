"""Uploaded images: bounded before they are decoded, decoded once in another process, stored by content."""

import contextlib
import functools
import hashlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from PIL import Image

from inference import errors, image_pool, stream
from inference.database import release
from inference.engine.files import data_urls
from inference.errors import DomainError
from inference.image_decoder import KEPT_AS_IS, MAX_ASPECT, MAX_SIDE
from inference.image_headers import BadHeader, CostlyHeader, Header, NoImage, read_header
from inference.storage import QUESTION_IMAGES

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
PREVIEW_SIDE = 1280
ENCODED = "encoded"
_CPU_S = 6
"""Processor seconds that decoding one image may take."""
REDUCED = 4
"""How many times more pixels a JPEG may have than is made room for: it is reduced while it is decoded,
to a quarter of its pixels or less."""
_SCANS = 16
"""Passes that the largest progressive JPEG may take; a smaller one may take more."""
_FORM = 2
"""Raised when the same file would become another picture than before."""


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
    try:
        return data_urls.decode(url, most=settings.INFERENCE_MAX_IMAGE_BYTES)
    except data_urls.RemoteUrlError as error:
        raise errors.REMOTE_IMAGE(field="image_url") from error
    except data_urls.NoDataUrlError as error:
        raise errors.BAD_IMAGE_URL(
            "image_url is not a base64 data URL.",
            hint="It must begin with data:image/jpeg;base64, (or another image type).",
            field="image_url",
        ) from error
    except data_urls.TooLongError as error:
        raise _too_large() from error
    except data_urls.BadBase64Error as error:
        raise errors.BAD_IMAGE_URL(
            "The image's base64 is broken.", hint="Encode the file again.", field="image_url"
        ) from error


def check_size(size: int) -> None:
    """Refuse a file by its size alone."""
    if size > settings.INFERENCE_MAX_IMAGE_BYTES:
        raise _too_large()


def _too_large() -> DomainError:
    limit = settings.INFERENCE_MAX_IMAGE_BYTES // (1024 * 1024)
    return errors.IMAGE_TOO_LARGE(f"The image is larger than {limit} MB.")


def normalise(data: bytes) -> NormalisedImage:
    """Check an uploaded file and bring it into the one form the rest of the system knows.

    Raises:
        InvalidInput, TooLarge, Unsupported: with a code and a hint for the uploader.
    """
    if not data:
        raise errors.EMPTY_IMAGE()
    check_size(len(data))
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        raise errors.UNSUPPORTED_IMAGE(
            "SVG is a drawing, not a photograph.", hint=f"Export it as one of {ACCEPTED}."
        )
    header = check_header(data)
    about = {
        "kind": header.format, "max_pixels": settings.INFERENCE_MAX_IMAGE_PIXELS, "cpu_s": _CPU_S,
    }  # fmt: skip
    release()  # many wait for few decoders, and need no database meanwhile
    try:
        told, stored = image_pool.pool().ask(about, data)
    except image_pool.Lost as error:
        raise errors.IMAGE_TOO_COSTLY() from error
    if "refused" in told:
        refusal = _REFUSALS[told["refused"]]
        raise refusal()
    stored = stored if told["is_new"] else data
    digest = hashlib.sha256(stored).hexdigest()
    return NormalisedImage(stored, told["extension"], told["width"], told["height"], digest)


def check_header(data: bytes) -> Header:
    """Judge a file by what its header claims, before anything is decoded.

    Raises:
        InvalidInput, TooLarge, Unsupported: with a code and a hint for the uploader.
    """
    try:
        header = read_header(data)
    except NoImage as error:
        raise errors.UNSUPPORTED_IMAGE() from error
    except CostlyHeader as error:
        raise errors.IMAGE_TOO_COSTLY() from error
    except BadHeader as error:
        raise errors.BROKEN_IMAGE() from error
    if header.pixels > _most_pixels(header.format):
        raise _too_many_pixels(header.format)
    if (
        header.scans * header.pixels > _SCANS * settings.INFERENCE_MAX_IMAGE_PIXELS
        or header.kept_bytes > settings.INFERENCE_DECODER_MEMORY_MB * 2**20
    ):
        raise errors.IMAGE_TOO_COSTLY()
    if header.format != "HEIF":  # there, the sides of several pictures may be mixed up
        check_shape(header.width, header.height)
    return header


class Upload:
    """A file that came with a request. It is read and decoded once everything else is in order."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read

    @functools.cached_property
    def data(self) -> bytes:
        """The bytes as they came.

        Raises:
            InvalidInput, TooLarge: they are no bytes of an image's size.
        """
        data = self._read()
        check_size(len(data))
        return data

    @functools.cached_property
    def source(self) -> str:
        """The SHA-256 of the bytes as they came."""
        return hashlib.sha256(self.data).hexdigest()


def remember(source: str, sha256: str) -> None:
    """Note which image an uploaded file became: the same file need not be decoded again."""
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.client().set(
            _source_key(source), sha256, ex=3600 * settings.INFERENCE_IMAGE_RETENTION_H
        )


def remembered(source: str) -> str:
    """The SHA-256 of the image that a file became; empty if it is not known."""
    try:
        found = stream.client().get(_source_key(source))
    except redis.exceptions.RedisError:
        return ""
    return found.decode() if isinstance(found, bytes) else ""


def _source_key(source: str) -> str:
    return f"{settings.REDIS_PREFIX}image:{_FORM}:{source}"


def sha256_of(data: bytes) -> str:
    """The SHA-256 of the image that a file is or would be stored as.

    Raises:
        InvalidInput, TooLarge, Unsupported: see `normalise`.
    """
    source = hashlib.sha256(data).hexdigest()
    known = remembered(source)
    if not known:
        known = normalise(data).sha256
        remember(source, known)
    return known


def _stored() -> Storage:
    return storages[QUESTION_IMAGES]


def write(image: NormalisedImage, name: str) -> bool:
    """Store a file: it is there whole or not at all. Tells whether it is new.

    Raises:
        Busy: the storage cannot be used.
    """
    if _stored().exists(name):
        return False
    _stored().save(name, ContentFile(image.data))
    return True


def exists(name: str) -> bool:
    """Whether a stored file is there.

    Raises:
        Busy: the storage cannot be used.
    """
    return _stored().exists(name)


def read(name: str) -> Image.Image:
    """Open a stored image as RGB.

    Raises:
        FileNotFoundError: it was purged.
        ValueError: it is not what `normalise` makes.
        Busy: the storage cannot be used.
    """
    data = stored_bytes(name)
    header = read_header(data)
    if header.format not in KEPT_AS_IS or max(header.width, header.height) > MAX_SIDE:
        raise ValueError("a stored image is not in its normal form")
    with Image.open(io.BytesIO(data), formats=[header.format]) as image:
        return image.convert("RGB")


def stored_bytes(name: str) -> bytes:
    """A stored image's file.

    Raises:
        FileNotFoundError: it was purged.
        Busy: the storage cannot be used.
    """
    with _stored().open(name) as file:
        data: bytes = file.read()
    return data


def preview(name: str) -> bytes:
    """A stored image as a JPEG of at most `PREVIEW_SIDE` pixels a side, for browsers that cannot show
    the file it came as.

    Raises:
        FileNotFoundError, ValueError: see `read`.
    """
    image = read(name)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def delete(name: str) -> None:
    """Remove a stored file, if it is there, and what models made of it on this machine.

    Raises:
        Busy: the storage cannot be used.
    """
    _stored().delete(name)
    shutil.rmtree(encodings(Path(name).stem), ignore_errors=True)


def encodings(sha256: str) -> Path:
    """The folder of what models made of an image: one file a model (`inference.backends.encoded`). A
    cache of this machine's, wherever the images are."""
    return Path(settings.IMAGE_STORE_DIR) / ENCODED / sha256[:2] / sha256


def check_shape(width: int, height: int) -> None:
    """Refuse what is too long and thin to be looked at."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _thin()


def _thin() -> DomainError:
    return errors.IMAGE_SHAPE(
        "The image is too long and thin to be looked at.",
        hint=f"Sides may differ by a factor of {MAX_ASPECT} at most: crop it.",
    )


def _most_pixels(kind: str) -> int:
    limit: int = settings.INFERENCE_MAX_IMAGE_PIXELS
    return limit * REDUCED if kind == "JPEG" else limit


def _too_many_pixels(kind: str = "") -> DomainError:
    limit = _most_pixels(kind) // 1_000_000
    return errors.TOO_MANY_PIXELS(f"The image has more than {limit} million pixels.")


_REFUSALS: dict[str, Callable[[], DomainError]] = {
    "broken": errors.BROKEN_IMAGE, "unknown": errors.UNSUPPORTED_IMAGE, "pixels": _too_many_pixels, "shape": _thin,
    "memory": errors.IMAGE_TOO_COSTLY,
}  # fmt: skip
