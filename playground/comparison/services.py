"""Asking several models the same."""

from collections.abc import Callable, Mapping, Sequence

from django.core.files.uploadedfile import UploadedFile

from inference import services as inference
from inference.errors import DomainError
from inference.models import Job
from playground import errors
from playground.models import Comparison, Run, Session
from playground.services import read_question
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor

LEAST, MOST = 2, 4
MOST_REFERENCE = 2000
"""Characters of a reference."""


def comparison_make(
    *, fields: Mapping[str, str], models: Sequence[str], file: UploadedFile | None, again: Run | None,
    visitor: Visitor, owner_key: str, account: Callable[[], int | None],
) -> Comparison:  # fmt: skip
    """Ask each model what the form asks, in a session of its own. All are asked, or none.

    Args:
        models: names of variants and tuned models.
        again: a saved run of the visitor's, whose image is asked about where no file is sent.

    Raises:
        DomainError: with a message and a hint for the visitor.
    """
    if len(set(models)) != len(models) or not LEAST <= len(models) <= MOST:
        raise errors.BAD_COMPARISON()
    sessions.check_room(visitor, owner_key)
    question = read_question(fields, file, again.job.image if again else None)
    image, jobs = question.image, list[Job]()
    try:
        for model in models:
            job = inference.job_submit(
                skill=question.skill, variant_slug=model, image=image, params=question.params,
                caller="playground", owner_key=owner_key, account=account,
            )  # fmt: skip
            jobs.append(job)
            image = job.image or image  # a file can be read once
        return _saved(jobs, fields, file, again, visitor)
    except DomainError:
        for job in jobs:
            inference.job_cancel(job_id=job.pk)
        raise


def _saved(
    jobs: Sequence[Job], fields: Mapping[str, str], file: UploadedFile | None, again: Run | None, visitor: Visitor
) -> Comparison:  # fmt: skip
    name = (file.name or "") if file else again.image_name if again else ""
    sample = "" if file else again.sample if again else fields.get("sample", "")
    session = Session.objects.create(**visitor.fields)
    made = Comparison.objects.create(
        session=session, reference=fields.get("reference", "").strip()[:MOST_REFERENCE]
    )
    for job in jobs:
        sessions.run_save(
            job_id=job.pk, owner_key=job.owner_key, visitor=visitor, session_id=session.pk,
            image_name=name, sample=sample, comparison=made,
        )  # fmt: skip
    return made
