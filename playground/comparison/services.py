"""Asking several models the same, and saying which answered better."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from inference import services as inference
from inference.errors import DomainError
from inference.metering import Payer
from inference.models import Job
from playground import errors
from playground.models import Comparison, Preference, Run, Session, Share
from playground.services import read_question, read_reference
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor

LEAST, MOST = 2, 4
MOST_IMAGES = 20
"""Of one grid."""


def comparison_make(
    *, fields: Mapping[str, str], models: Sequence[str], file: UploadedFile | None, again: Run | None,
    visitor: Visitor, owner_key: str, account: Callable[[], int | None],
    payer: Payer = None, group: Comparison | None = None,
) -> Comparison:  # fmt: skip
    """Ask each model what the form asks, in a session of its own. All are asked, or none.

    Args:
        models: names of variants and tuned models.
        again: a saved run of the visitor's, whose image is asked about where no file is sent.
        group: the visitor's first comparison of a grid of images, which this is one more of.

    Raises:
        DomainError: with a message and a hint for the visitor.
    """
    if len(set(models)) != len(models) or not LEAST <= len(models) <= MOST:
        raise errors.BAD_COMPARISON()
    if group is not None and group.members.count() + 1 >= MOST_IMAGES:
        raise errors.GRID_FULL()
    sessions.check_room(visitor, owner_key)
    question = read_question(fields, file, again.job.image if again else None)
    image, jobs = question.image, list[Job]()
    try:
        for model in models:
            job = inference.job_submit(
                skill=question.skill, variant_slug=model, image=image, params=question.params,
                caller="playground", owner_key=owner_key, account=account, payer=payer,
            )  # fmt: skip
            jobs.append(job)
            image = job.image or image  # a file can be read once
        return _saved(jobs, fields, file, again, visitor, group)
    except DomainError:
        for job in jobs:
            inference.job_cancel(job_id=job.pk)
        raise


def _saved(
    jobs: Sequence[Job], fields: Mapping[str, str], file: UploadedFile | None, again: Run | None, visitor: Visitor,
    group: Comparison | None,
) -> Comparison:  # fmt: skip
    name = (file.name or "") if file else again.image_name if again else ""
    sample = "" if file else again.sample if again else fields.get("sample", "")
    session = group.session if group else Session.objects.create(**visitor.fields)
    made = Comparison.objects.create(
        session=session, reference=read_reference(fields.get("reference", "")),
        is_blind=bool(fields.get("blind")) and not fields.get("grid"), group=group,
    )  # fmt: skip
    for job in jobs:
        sessions.run_save(
            job_id=job.pk, owner_key=job.owner_key, visitor=visitor, session_id=session.pk,
            image_name=name, sample=sample, comparison=made,
        )  # fmt: skip
    return made


@transaction.atomic
def comparison_prefer(*, comparison: Comparison, run_id: int | None, visitor: Visitor) -> None:
    """Keep which answer of a blind comparison is preferred, and show the models' names.

    It counts once for each pair that the choice is about: the preferred model beside each other one, or, of a
    tie, each two. Tuned models are not counted: their names are their owners'.

    Args:
        run_id: of the preferred answer; None: they are alike.

    Raises:
        Conflict: the names are shown already, or not all are answered.
        NotFound: no such answer here.
    """
    locked = Comparison.objects.select_for_update().get(pk=comparison.pk)
    runs = list(locked.runs.select_related("job__variant"))
    if not locked.is_hidden or not all(run.job.status == Job.Status.SUCCEEDED for run in runs):
        raise errors.NO_PREFERENCE()
    preferred = next((run for run in runs if run.pk == run_id), None)
    if run_id is not None and preferred is None:
        raise errors.COMPARISON_NOT_FOUND()
    pairs = [
        (a, b) for a, b in combinations(runs, 2)
        if not (a.job.adapter or b.job.adapter) and preferred in (None, a, b)
    ]  # fmt: skip
    voter, question = voter_of(visitor), _question(runs[0].job)
    Preference.objects.bulk_create(
        [_preference(locked, a, b, preferred, voter, question) for a, b in pairs],
        ignore_conflicts=True,
    )
    comparison_name(comparison=locked)


def _preference(
    comparison: Comparison, a: Run, b: Run, preferred: Run | None, voter: str, question: str
) -> Preference:
    left, right = sorted((a, b), key=lambda run: run.job.variant.slug)
    outcome = Preference.Outcome.TIE
    if preferred is not None:
        outcome = Preference.Outcome.LEFT if preferred == left else Preference.Outcome.RIGHT
    return Preference(
        comparison=comparison, left=left.job.variant.slug, right=right.job.variant.slug, outcome=outcome,
        voter=voter, question=question,
    )  # fmt: skip


def comparison_name(*, comparison: Comparison) -> None:
    """Show the names of a blind comparison's models. Safe to repeat."""
    Comparison.objects.filter(pk=comparison.pk, named_at=None).update(named_at=timezone.now())


def voter_of(visitor: Visitor) -> str:
    """What is kept of whoever preferred one of two models."""
    return _digest(f"account {visitor.user.pk}") if visitor.user else visitor.key


def _question(job: Job) -> str:
    params = {name: value for name, value in job.params.items() if name != "attention"}
    return _digest(json.dumps([job.image_sha256, job.skill, params], sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def share_make(*, comparison: Comparison, days: str = "") -> Share:
    """A link that shows a comparison to whoever has it.

    Raises:
        Conflict: its models' names are hidden still.
        InvalidInput: no such time.
    """
    if comparison.is_hidden:
        raise errors.NAMES_HIDDEN()
    first = comparison.runs.order_by("pk").first()
    if first is None:
        raise errors.COMPARISON_NOT_FOUND()
    return sessions.share_make(run=first, days=days, comparison=comparison)


def grid_share_make(*, group: Comparison, days: str = "") -> Share:
    """A link that shows a grid, with all of its images, to whoever has it.

    Raises:
        InvalidInput: no such time.
        NotFound: all of its runs were deleted.
    """
    run = (
        Run.objects.filter(Q(comparison=group) | Q(comparison__group=group)).order_by("pk").first()
    )
    if run is None:
        raise errors.COMPARISON_NOT_FOUND()
    return sessions.share_make(run=run, days=days, comparison=group, is_grid=True)
