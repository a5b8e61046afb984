"""Keeping uploaded images."""

from django.utils import timezone

from inference import images
from inference.errors import InvalidInput
from inference.models import StoredImage


def image_store(*, data: bytes) -> StoredImage:
    """Normalise and keep an uploaded image; the same picture is kept once.

    Raises:
        InvalidInput, TooLarge, Unsupported: see `images.normalise`.
    """
    normal = images.normalise(data)
    now = timezone.now()
    fields = {
        "width": normal.width,
        "height": normal.height,
        "size_bytes": len(normal.data),
        "extension": normal.extension,
        "used_at": now,
    }
    kept = StoredImage(sha256=normal.sha256, **fields)
    images.write(normal, kept.file_name)
    StoredImage.objects.bulk_create(
        [kept], update_conflicts=True, unique_fields=["sha256"], update_fields=["used_at"]
    )
    return kept


def image_get(*, sha256: str) -> StoredImage:
    """An image stored before, marked as used.

    Raises:
        InvalidInput: it is not, or no longer, here.
    """
    image = StoredImage.objects.filter(pk=sha256).first()
    if image is None:
        raise InvalidInput(
            "That image is no longer here.", code="image_gone", hint="Upload it again."
        )
    image.used_at = timezone.now()
    image.save(update_fields=["used_at"])
    return image
