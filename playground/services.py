"""Asking from the page's form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from inference import errors as inference_errors
from inference import images
from inference import services as inference
from inference.images import Upload
from inference.metering import Payer
from inference.models import Job, Skill, StoredImage
from inference.world.samples import InvalidSample, sample_bytes
from leaderboard import selectors as leaderboard
from playground import errors

FIELDS = {"query": "question", "detect": "object", "point": "object"}


def preview(*, file: UploadedFile | None) -> tuple[StoredImage, bytes]:
    """Store an uploaded file, and a JPEG to look at it by.

    Raises:
        InvalidInput, TooLarge, Unsupported, Busy: see `inference.images.normalise`.
    """
    if file is None:
        raise inference_errors.IMAGE_REQUIRED(hint="Choose a file.")
    images.check_size(file.size or 0)
    stored = inference.image_store(data=file.read())
    return stored, images.preview(stored.file_name)


@dataclass(frozen=True, slots=True)
class Question:
    """What a form asks of an image, before a model is named."""

    skill: str
    image: Upload | StoredImage
    params: dict[str, Any]


MOST_REFERENCE = 2000
"""Characters of what is right about an image."""


def read_reference(text: str) -> str:
    """What a visitor says is right about an image, as it is kept."""
    return text.replace("\x00", "").strip()[:MOST_REFERENCE]


def read_question(
    fields: Mapping[str, str], file: UploadedFile | None, stored: StoredImage | None = None
) -> Question:
    """What a form holds: a file, an item of a benchmark, or a sample is the image.

    Args:
        stored: an image that was saved before; a file goes before it.

    Raises:
        DomainError: with a message and a hint for the visitor.
    """
    skill = fields.get("skill", "")
    if skill not in Skill.values:
        raise inference_errors.UNSUPPORTED_SKILL("Choose a skill.")
    length = fields.get("length") or "normal"
    if length not in ("short", "normal", "long"):
        raise inference_errors.BAD_LENGTH("Choose a caption length.")
    if skill != "caption" and leaderboard.PLACE.search(fields.get(FIELDS[skill], "")):
        raise errors.PLACEHOLDER_LEFT()
    params = {
        "question": fields.get("question", ""), "object": fields.get("object", ""), "length": length,
    }  # fmt: skip
    if fields.get("attention") and skill in ("caption", "query"):
        params["attention"] = "1"
    return Question(skill, _image(fields, file, stored), params)


def _image(
    fields: Mapping[str, str], file: UploadedFile | None, stored: StoredImage | None
) -> Upload | StoredImage:
    if file is not None:
        images.check_size(file.size or 0)
        return Upload(file.read)
    if stored is not None:
        return stored
    if fields.get("item"):
        prompt = leaderboard.prompt_get(fields["item"])
        return Upload(lambda: leaderboard.image_bytes(prompt))
    try:
        data = sample_bytes(fields.get("sample", ""))
    except InvalidSample as error:
        raise inference_errors.IMAGE_REQUIRED(hint="Choose a file or a sample.") from error
    return Upload(lambda: data)


def ask(*, fields: Mapping[str, str], file: UploadedFile | None, owner_key: str,
    account: Callable[[], int | None], payer: Payer = None,
) -> Job:  # fmt: skip
    """Submit what the form holds, for a caller known by an opaque key, and by an account if any.

    Raises:
        DomainError: with a message and a hint for the visitor.
    """
    question = read_question(fields, file)
    return inference.job_submit(
        skill=question.skill, variant_slug=fields.get("variant"), image=question.image,
        params=question.params, caller="playground", owner_key=owner_key, account=account, payer=payer,
    )  # fmt: skip
