"""What runs on the side: rescue, retention, signs of life."""

import contextlib
import json
import logging
import time
from collections.abc import Container, Iterable
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from inference import backends, images, lease, selectors, stream
from inference.backends import encoded
from inference.models import Job, StoredImage
from inference.services.settling import job_timed_out
from inference.services.submitting import enqueue
from inference.services.variants import variant_loaded

logger = logging.getLogger(__name__)
_FORGET_S = 900


def rescue() -> int:
    """Re-queue or end jobs that nobody is working on any more.

    The broker brings back what a lost worker held; this is for what it cannot know of: a child
    killed at its hard time limit, or a broker that lost its data.
    """
    patience = settings.INFERENCE_VISIBILITY_TIMEOUT_S + settings.INFERENCE_JOB_TIME_LIMIT_S
    before = timezone.now() - timedelta(seconds=patience)
    rescued = 0
    for job in Job.objects.unfinished().filter(created_at__lt=before).select_related("variant"):
        recent = job.started_at is not None and job.started_at >= before
        waiting = job.status == Job.Status.QUEUED and selectors.queue_depth(job.variant.queue)
        if recent or waiting or lease.is_held(job.id):
            continue
        if job.status == Job.Status.RUNNING:
            job_timed_out(job_id=job.id)
        else:
            enqueue(job)
        rescued += 1
    return rescued


def purge() -> int:
    """Delete images past their retention, and finished jobs a week old; not those that somebody saved."""
    now = timezone.now()
    needed = Job.objects.unfinished() | Job.objects.filter(is_kept=True)
    old = StoredImage.objects.filter(
        used_at__lt=now - timedelta(hours=settings.INFERENCE_IMAGE_RETENTION_H)
    ).exclude(jobs__in=needed)
    count = 0
    for image in old.iterator():
        images.delete(image.file_name)
        image.delete()
        count += 1
    Job.objects.exclude(pk__in=needed).filter(created_at__lt=now - timedelta(days=7)).delete()
    return count


_forgot_at = 0.0
"""When this process last did `encodings_forget` (`time.monotonic()`)."""


def encodings_forget() -> None:
    """Every quarter of an hour: delete what models made of images on this machine's disk as long ago as
    images are kept. Where the images are in a bucket, whoever purges them may be another machine."""
    global _forgot_at  # of the process, as its disk is
    if _forgot_at and time.monotonic() - _forgot_at < _FORGET_S:
        return
    _forgot_at = time.monotonic()
    encoded.trim(settings.INFERENCE_ENCODE_DISK_MB * 2**20)


def worker_beat(name: str, queues: Iterable[str] = ()) -> None:
    """Note a worker's sign of life for half a minute, and whose messages it takes; also when it tidies up
    its disk."""
    encodings_forget()
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.client().set(
            f"{settings.REDIS_PREFIX}worker:{name}",
            json.dumps({"name": name, "at": time.time(), "queues": sorted(queues)}),
            ex=30,
        )


def worker_gone(name: str) -> None:
    """Forget a worker that shut down in order."""
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.client().delete(f"{settings.REDIS_PREFIX}worker:{name}")


def worker_process_started(queues: Container[str]) -> None:
    """Warm the default variant in a fresh worker process, so that no visitor waits for it.

    Args:
        queues: whose messages the worker takes; the default variant's may not be among them.
    """
    stream.client.cache_clear()
    try:
        variant = selectors.variant_get(None)
        if variant.queue not in queues:
            return
        backend = backends.for_variant(variant)
        if not backend.is_warm:
            variant_loaded(variant, backend.load())
    except Exception:
        logger.exception("Could not warm the default variant")
