"""Keeping uploaded images."""

import re
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from inference import errors, images
from inference.images import NormalisedImage, Upload
from inference.models import Job, StoredImage

_SHA256 = re.compile("[0-9a-f]{64}")
# Raw, since every question pays for it: the ORM's `bulk_create` takes three times as long.
_KEEP = """
INSERT INTO inference_storedimage
    (sha256, width, height, size_bytes, extension, created_at, used_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (sha256) DO UPDATE SET used_at = EXCLUDED.used_at
"""


@dataclass(slots=True)
class Looked:
    """An image that can be read, and has not been stored for this request."""

    sha256: str
    stored: StoredImage | None
    """Where it was stored before."""
    normal: NormalisedImage | None = None
    source: str = ""
    is_new: bool = False
    """Whether keeping it made the file."""


def image_look(image: StoredImage | Upload) -> Looked:
    """Read and decode an upload, unless the same file was before. Stores nothing.

    Raises:
        InvalidInput, TooLarge, Unsupported, Busy: see `images.normalise`.
    """
    if isinstance(image, StoredImage):
        return Looked(image.sha256, image)
    known = images.remembered(image.source)
    stored = StoredImage.objects.filter(pk=known).first() if known else None
    if stored is not None and images.exists(stored.file_name):
        return Looked(known, stored)
    normal = images.normalise(image.data)
    return Looked(normal.sha256, None, normal, image.source)


def image_keep(looked: Looked) -> StoredImage:
    """Store an image, or mark it as used; the same picture is kept once."""
    now = timezone.now()
    if looked.stored is not None:
        looked.stored.used_at = now
        looked.stored.save(update_fields=["used_at"])
        return looked.stored
    normal = looked.normal
    assert normal is not None
    kept = StoredImage(
        sha256=normal.sha256, width=normal.width, height=normal.height, size_bytes=len(normal.data),
        extension=normal.extension, created_at=now, used_at=now,
    )  # fmt: skip
    looked.is_new = images.write(normal, kept.file_name)
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            [kept.sha256, kept.width, kept.height, kept.size_bytes, kept.extension, now, now],
        )
    images.remember(looked.source, kept.sha256)
    return kept


def image_drop(looked: Looked) -> None:
    """Take back what was stored for a request that was then refused, unless another uses it."""
    if not looked.is_new:
        return
    used = Exists(Job.objects.filter(image=OuterRef("pk")))
    with transaction.atomic():
        image = StoredImage.objects.select_for_update().filter(~used, pk=looked.sha256).first()
        if image is not None:
            name = image.file_name
            image.delete()
            images.delete(name)


def image_store(*, data: bytes) -> StoredImage:
    """Normalise and keep an uploaded image; the same picture is kept once.

    Raises:
        InvalidInput, TooLarge, Unsupported, Busy: see `images.normalise`.
    """
    return image_keep(image_look(Upload(lambda: data)))


def image_get(*, sha256: str) -> StoredImage:
    """An image stored before.

    Raises:
        InvalidInput: it is not, or no longer, here.
    """
    known = _SHA256.fullmatch(sha256) is not None
    image = StoredImage.objects.filter(pk=sha256).first() if known else None
    if image is None:
        raise errors.IMAGE_GONE("That image is no longer here.")
    return image
