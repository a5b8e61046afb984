"""Reads."""

import copy
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone

from inference import adapters, errors, page_cache, stream
from inference.models import Job, Variant, VariantMeasurement

ALIASES = frozenset(
    {"", "moondream", "moondream2", "moondream-2b", "moondream3-preview", "moondream-embedded"}
)
"""Names that clients send without meaning one variant of ours: they get the default."""

EMPTY_ANSWER = "The model gave an empty answer."


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that was heard of in the last half minute."""

    name: str
    seen_at: datetime
    queues: frozenset[str] = frozenset()
    """Whose messages it takes."""


def variants_available() -> list[Variant]:
    """Enabled variants, the default first."""
    return [copy.copy(variant) for variant in _variants() if variant.enabled]


def is_embedded_alone() -> bool:
    """Whether nothing but the model that comes with this project can be asked."""
    others = Variant.objects.filter(enabled=True).exclude(slug__startswith="moondream-embedded-")
    return not page_cache.remember("variants besides the embedded", others.exists)


def variant_get(name: str | None) -> Variant:
    """The variant a client means.

    Raises:
        NotFound: no such variant, or none at all.
    """
    wanted = (name or "").replace("\x00", "").strip().removeprefix("moondream/")
    available = [variant for variant in _variants() if variant.enabled]
    for variant in available:
        if variant.is_default if wanted in ALIASES else variant.slug == wanted:
            return copy.copy(variant)
    known = ", ".join(v.slug for v in available) or "none is installed"
    raise errors.VARIANT_NOT_FOUND(
        f"There is no model variant {wanted!r}.", hint=f"Available: {known}."
    )


def model_get(name: str | None, asker: adapters.Asker) -> tuple[Variant, str]:
    """What a client means: a variant, and the adapter of it ("" for none).

    Of an adapter any base may be named that clients send without meaning one of ours, else its own.

    Raises:
        NotFound: no such variant, or no such adapter for this asker.
    """
    named = adapters.NAME.fullmatch((name or "").strip().removeprefix("moondream/"))
    if named is None:
        return variant_get(name), ""
    found = adapters.variant_id(named["adapter"], asker)
    variant = next((v for v in _variants() if v.pk == found and v.enabled), None)
    if variant is None or named["base"] not in ALIASES | {variant.slug}:
        raise errors.VARIANT_NOT_FOUND(
            f"There is no tuned model {named.group()!r}, or it is not for you.",
            hint="Send the API key of its owner, or ask for its link.",
        )
    return copy.copy(variant), named["adapter"]


def variant_by_id(variant_id: int) -> Variant:
    """A variant, enabled or not.

    Raises:
        DoesNotExist: no such variant.
    """
    found = next((variant for variant in _variants() if variant.pk == variant_id), None)
    return copy.copy(found) if found else Variant.objects.get(pk=variant_id)


_read: tuple[float, list[Variant]] | None = None
"""All variants, and until when they are believed (`time.monotonic()`)."""


def _variants() -> list[Variant]:
    """All variants, the default first; only copies of them may be handed on.

    They are read at most once in `INFERENCE_VARIANTS_KEPT_S`: each question asks for one, in the web
    process and in the worker, and they change a few times a year. (`page_cache.remember` would ask
    the cache each time whether they have.)
    """
    global _read  # one process's memory of one table
    if _read is None or time.monotonic() >= _read[0]:
        until = time.monotonic() + settings.INFERENCE_VARIANTS_KEPT_S
        _read = until, list(Variant.objects.all())
    return _read[1]


def variants_forget() -> None:
    """Have variants read anew: one was changed in this process."""
    global _read
    _read = None


def revisions() -> dict[str, str]:
    """The revision of every variant, by its slug; one query."""
    return dict(Variant.objects.values_list("slug", "revision"))


def latest_measurements() -> list[VariantMeasurement]:
    """The newest measurement of every enabled variant, without those of adapters; one query."""
    newest = (
        VariantMeasurement.objects.filter(variant__enabled=True, adapter="")
        .select_related("variant")
        .order_by("variant_id", "-measured_at")
        .distinct("variant_id")
    )
    return page_cache.remember("measurements", lambda: list(newest))


def adapter_measurements(names: Iterable[str]) -> dict[str, VariantMeasurement]:
    """The newest measurement of each of some adapters, by `finetune@step`; one query."""
    rows = VariantMeasurement.objects.filter(adapter__in=[name for name in names if name])
    newest = rows.select_related("variant").order_by("adapter", "-measured_at").distinct("adapter")
    return {row.adapter: row for row in newest}


def answer_text(result: Mapping[str, Any]) -> str | None:
    """What a result says in words, and that it says nothing where that is so; None for boxes and points."""
    text = result.get("answer", result.get("caption"))
    return None if text is None else text if text.strip() else EMPTY_ANSWER


def job_get(job_id: UUID | str) -> Job:
    """A job by its id, which is the capability to see it.

    Raises:
        NotFound: no such job.
    """
    job = Job.objects.select_related("variant").filter(pk=job_id).first()
    if job is None:
        raise errors.JOB_NOT_FOUND()
    return job


def queue_depth(queue: str = "cpu") -> int:
    """Messages waiting in a queue of the broker, at every priority."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with stream.client().pipeline(transaction=False) as pipe:
        for step in options["priority_steps"]:
            suffix = f"{options['sep']}{step}" if step else ""
            pipe.llen(f"{options['global_keyprefix']}{queue}{suffix}")
        return sum(pipe.execute())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in front of a newcomer."""

    oldest_s: float
    own: int
    """Of the same caller."""


def waiting(queue: str, owner_key: str) -> Waiting:
    """Jobs nobody works on yet, but for those in the background; one query."""
    found = Job.objects.filter(
        status=Job.Status.QUEUED, variant__queue=queue, in_background=False
    ).aggregate(oldest=Min("created_at"), own=Count("id", filter=Q(owner_key=owner_key)))
    oldest = found["oldest"]
    age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
    return Waiting(age, found["own"] if owner_key else 0)


def workers_seen() -> list[Worker]:
    """Workers with a recent sign of life."""
    client = stream.client()
    names = sorted(client.scan_iter(match=f"{settings.REDIS_PREFIX}worker:*", count=100))
    values = client.mget(names) if names else []
    beats = [json.loads(value) for value in values if value]
    return [
        Worker(b["name"], datetime.fromtimestamp(b["at"], UTC), frozenset(b.get("queues", ())))
        for b in beats
    ]


def last_success(variant: Variant) -> Job | None:
    """The variant's latest answered job."""
    return (
        Job.objects.filter(variant=variant, status=Job.Status.SUCCEEDED)
        .order_by("-created_at")
        .first()
    )
