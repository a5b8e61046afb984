"""Which images belong to registered benchmarks: the Research plan is for these."""

import io
import logging
from collections.abc import Callable, Iterable

from PIL import Image

from inference import images
from inference.errors import DomainError
from pricing.models import RegisteredImage

logger = logging.getLogger(__name__)
_CLIENT_QUALITY = 95
"""At which the official client writes an image that it was given opened as a JPEG."""


def files_registered(dataset: str) -> set[str]:
    """Files of a data set whose images are known."""
    return set(RegisteredImage.objects.filter(dataset=dataset).values_list("file", flat=True))


def images_register(
    *, dataset: str, files: Iterable[str], read: Callable[[str], bytes]
) -> int:  # fmt: skip
    """Register images by what they show, as published and as the official client sends them; how many
    files. One that cannot be read is left for the next time."""
    count = 0
    for file in files:
        try:
            data = read(file)
            shown = {images.sha256_of(data), images.sha256_of(_as_client(data))}
        except (DomainError, OSError):
            logger.warning("%s of %s could not be registered", file, dataset, exc_info=True)
            continue
        RegisteredImage.objects.bulk_create(
            [RegisteredImage(sha256=sha256, dataset=dataset, file=file) for sha256 in shown],
            ignore_conflicts=True,
        )
        count += 1
    return count


def _as_client(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        out = io.BytesIO()
        opened.convert("RGB").save(out, format="JPEG", quality=_CLIENT_QUALITY)
        return out.getvalue()
