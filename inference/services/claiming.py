"""Taking jobs to answer: one, and with it waiting ones of its kind."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from inference import backends, errors, selectors
from inference.models import Job, Skill, StoredImage
from inference.services.settling import fail

MAX_ATTEMPTS = 3
# Raw, since every question pays for it: through the ORM it is a SELECT with two joins and an UPDATE,
# whose SQL takes longer to put together than to run. What answering needs of a job, what names its
# image's file, and whether others wait come back with the one statement. It does not wait for the
# disk: a database that loses it in a crash has the job as it was, for the next worker.
_CLAIM = """
UPDATE inference_job AS job
SET status = 'running', attempt = attempt + 1, worker = %(worker)s, started_at = %(now)s
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried
WHERE job.id = ANY(%(ids)s::uuid[]) AND job.status IN ('queued', 'running')
RETURNING
    job.id, job.skill, job.variant_id, job.adapter, job.image_id, job.image_sha256, job.params, job.in_background,
    job.caller, job.owner_key, job.is_metered,
    job.status, job.attempt, job.worker, job.created_at, job.started_at,
    (
        SELECT image.extension FROM inference_storedimage AS image WHERE image.sha256 = job.image_id
    ) AS image_extension,
    EXISTS(
        SELECT FROM inference_job AS other
        WHERE other.status = 'queued' AND other.variant_id = job.variant_id
            AND other.adapter = job.adapter AND other.id <> job.id
    ) AS others_wait
"""


def claim(ids: Sequence[UUID | str], worker: str) -> list[Job]:
    """Take those of these jobs that are queued, or whose worker was lost, in the order given; one that
    lost its worker too often is failed instead.

    Expects the jobs' leases to be held: no other worker writes them meanwhile. One that was cancelled
    or finished is left out.
    """
    given = {"ids": list(map(str, ids)), "worker": worker, "now": timezone.now()}
    found = {job.id: job for job in _claimed(given)}
    taken = []
    for job in (found[key] for key in map(_uuid, ids) if key in found):
        if job.attempt > MAX_ATTEMPTS:
            fail(job, errors.WORKER_LOST())
            continue
        job.variant = selectors.variant_by_id(job.variant_id)
        if job.image_id:
            named = [job.image_id, job.image_extension]  # type: ignore[attr-defined]
            job.image = StoredImage.from_db("default", ["sha256", "extension"], named)
        taken.append(job)
    return taken


def _claimed(given: dict[str, Any]) -> Iterator[Job]:
    """The rows of the claim, as `Job.objects.raw` would have them for twice the time."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, given)
        names = [column.name for column in cursor.description]
        for row in cursor.fetchall():
            values = dict(zip(names, row, strict=True))
            values["params"] = json.loads(values["params"])
            beside = {name: values.pop(name) for name in ("image_extension", "others_wait")}
            # `from_db` takes values in the order of the model's fields, whatever the names' order is.
            fields = [f.attname for f in Job._meta.concrete_fields if f.attname in values]
            job = Job.from_db("default", fields, [values[name] for name in fields])
            vars(job).update(beside)
            yield job


def _uuid(given: UUID | str) -> UUID:
    return given if isinstance(given, UUID) else UUID(given)


def alike(job: Job) -> list[UUID]:
    """Waiting jobs that one pass can answer along with this one, which was claimed; the oldest first."""
    if settings.INFERENCE_BATCH < 2 or not _in_batch(job):
        return []
    if not isinstance(backends.for_variant(job.variant), backends.Batching):
        return []
    if not job.others_wait:  # type: ignore[attr-defined]
        return []
    waiting = Job.objects.filter(
        status=Job.Status.QUEUED, variant=job.variant_id, adapter=job.adapter, skill__in=(Skill.CAPTION, Skill.QUERY),
        params__settings=job.params["settings"], image__isnull=False, in_background=False,
    ).order_by("created_at").only("params", "skill", "image_id", "in_background")  # fmt: skip
    return [other.pk for other in waiting[: settings.INFERENCE_BATCH - 1] if _in_batch(other)]


def _in_batch(job: Job) -> bool:
    plain = not any(job.params.get(name) for name in ("spatial_refs", "reasoning", "attention"))
    # One in the background is measured as well, and alone; it holds nobody else up.
    plain = plain and not job.in_background
    return plain and job.image_id is not None and job.skill in (Skill.CAPTION, Skill.QUERY)
