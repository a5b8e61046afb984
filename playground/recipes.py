"""From a job to the recipe of its answer."""

import functools
import hashlib
from dataclasses import asdict
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.templatetags.static import static
from django.urls import reverse

from inference import errors as inference_errors
from inference import images
from inference import selectors as inference
from inference.engine.settings import Settings
from inference.models import Job, StoredImage
from inference.world.samples import SAMPLES, sample_bytes
from playground.exports import Picture, Recipe

INLINE_MOST = 6 * 1024
"""Bytes of an image that is written into the code: it then works for good."""
_SALT = "playground-image"


def recipe_of(job_id: UUID, *, site: str, owner_key: str) -> Recipe:
    """All that decided an answer. Who did not ask it is not given the image, only its SHA-256.

    Args:
        site: "https://host", without a slash at the end.
        owner_key: of the caller.

    Raises:
        NotFound: no such job.
    """
    job = inference.job_get(job_id)
    params = {name: value for name, value in job.params.items() if name != "settings"}
    return Recipe(
        site, job.skill, job.model_name, job.revision or job.variant.revision,
        job.variant.quantization, params, asdict(Settings.read(job.params.get("settings"))),
        _picture(job, site, is_owner=bool(owner_key) and job.owner_key == owner_key),
    )  # fmt: skip


def _picture(job: Job, site: str, *, is_owner: bool) -> Picture | None:
    digest = job.image_sha256
    if not digest:
        return None
    sample = _samples().get(digest)
    if sample is not None:
        return Picture(sample, digest, f"{site}{static(f'samples/{sample}')}")
    stored = job.image
    if stored is None:  # past its retention
        return Picture(f"image-{digest[:8]}.jpg", digest)
    name = f"image-{digest[:8]}.{stored.extension}"
    if not is_owner:
        return Picture(name, digest)
    if stored.size_bytes <= INLINE_MOST:
        try:
            return Picture(name, digest, data=images.stored_bytes(stored.file_name))
        except FileNotFoundError:
            return Picture(name, digest)
    address = reverse("playground:job_image", args=[token_of(digest)])
    return Picture(name, digest, f"{site}{address}")


def token_of(sha256: str) -> str:
    """What gives an image to whoever has it, as long as images are kept."""
    return signing.dumps(sha256, salt=_SALT)


@functools.cache
def _samples() -> dict[str, str]:
    """File names of samples, by what they are stored as: they are in normal form already."""
    return {hashlib.sha256(sample_bytes(s.slug)).hexdigest(): s.file_name for s in SAMPLES}


def image_of(token: str) -> tuple[StoredImage, bytes]:
    """The image that an address of a recipe names, while images are kept.

    Raises:
        InvalidInput: the address is none, or too old, or the image is no longer here.
    """
    try:
        digest = signing.loads(
            token, salt=_SALT, max_age=3600 * settings.INFERENCE_IMAGE_RETENTION_H
        )
        stored = StoredImage.objects.get(pk=digest)
        return stored, images.stored_bytes(stored.file_name)
    except (signing.BadSignature, StoredImage.DoesNotExist, FileNotFoundError) as error:
        raise inference_errors.IMAGE_GONE("That image is no longer here.") from error
