"""Asking from the page's form."""

from collections.abc import Callable, Mapping

from django.core.files.uploadedfile import UploadedFile

from inference import errors as inference_errors
from inference import images
from inference import services as inference
from inference.images import Upload
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


def ask(*, fields: Mapping[str, str], file: UploadedFile | None, owner_key: str,
    account: Callable[[], int | None],
) -> Job:  # fmt: skip
    """Submit what the form holds, for a caller known by an opaque key, and by an account if any.

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
    if file is not None:
        images.check_size(file.size or 0)
        image = Upload(file.read)
    elif fields.get("item"):
        prompt = leaderboard.prompt_get(fields["item"])
        image = Upload(lambda: leaderboard.image_bytes(prompt))
    else:
        try:
            data = sample_bytes(fields.get("sample", ""))
        except InvalidSample as error:
            raise inference_errors.IMAGE_REQUIRED(hint="Choose a file or a sample.") from error
        image = Upload(lambda: data)
    return inference.job_submit(
        skill=skill,
        variant_slug=fields.get("variant"),
        image=image,
        params={
            "question": fields.get("question", ""),
            "object": fields.get("object", ""),
            "length": length,
        },
        caller="playground",
        owner_key=owner_key,
        account=account,
    )
