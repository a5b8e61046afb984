"""Addresses of the images that runs ask about: each names its data and the image, signed by us."""

from collections.abc import Mapping
from typing import Any

from django.core import signing
from django.urls import reverse

from inference.tuning import errors
from inference.tuning.sources import Picture, source_of
from inference.tuning.uploaded import upload_of
from inference.tuning.who import Who

_SIGNER = signing.Signer(salt="tuning-picture")


def address(data: Mapping[str, Any], image_key: str) -> str:
    """Where an image is; empty for a question about none. The same image has the same address."""
    if not image_key:
        return ""
    token = _SIGNER.sign_object([dict(data), image_key], compress=True)
    return reverse("playground:tuning_picture", args=[token])


def picture(token: str, who: Who) -> Picture:
    """
    Raises:
        NotFound: there is none, or it is of another's data.
    """
    try:
        data, image_key = _SIGNER.unsign_object(token)
    except (signing.BadSignature, ValueError) as error:
        raise errors.TUNING_IMAGE_NOT_FOUND() from error
    if data["source"] == "upload":
        upload_of(data["upload"], who)
    return source_of(data).picture(data, image_key)
