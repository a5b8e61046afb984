"""Asking from the page's form."""

from collections.abc import Mapping

from django.core.files.uploadedfile import UploadedFile

from inference import images
from inference import services as inference
from inference.errors import InvalidInput
from inference.models import Job, Skill
from inference.world.samples import InvalidSample, sample_bytes


def ask(*, fields: Mapping[str, str], file: UploadedFile | None) -> Job:
    """Submit what the form holds.

    Raises:
        DomainError: with a message and a hint for the visitor.
    """
    skill = fields.get("skill", "")
    if skill not in Skill.values:
        raise InvalidInput("Choose a skill.", code="unsupported_skill")
    length = fields.get("length") or "normal"
    if length not in ("short", "normal", "long"):
        raise InvalidInput("Choose a caption length.", code="bad_length")
    if file is not None:
        images.check_size(file.size or 0)
        data = file.read()
    else:
        try:
            data = sample_bytes(fields.get("sample", ""))
        except InvalidSample as error:
            raise InvalidInput(
                "An image is needed.", code="image_required", hint="Choose a file or a sample."
            ) from error
    return inference.job_submit(
        skill=skill,
        variant_slug=fields.get("variant"),
        image=inference.image_store(data=data),
        params={
            "question": fields.get("question", ""),
            "object": fields.get("object", ""),
            "length": length,
        },
        caller="playground",
    )
