"""Saving jobs from being purged, and deleting them for good."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Sum

from inference import errors, images, stream
from inference.models import Job, StoredImage
from inference.services.submitting import job_cancel


def job_keep(*, job_id: UUID | str, owner_key: str) -> Job:
    """Save a caller's own job: neither it nor its image is purged by age any more.

    Raises:
        NotFound: no such job, or it is another caller's.
    """
    own = Job.objects.filter(pk=job_id, owner_key=owner_key).exclude(owner_key="")
    if not own.update(is_kept=True):
        raise errors.JOB_NOT_FOUND()
    return own.select_related("variant", "image").get()


def jobs_delete(*, ids: Collection[UUID]) -> None:
    """Delete jobs and their answers; one that is still answered is cancelled. Their images are purged
    by age from then on, where no other saved job is about them.

    Raises:
        RedisError: one of them runs, and its worker cannot be told. Nothing was deleted.
    """
    for job_id in Job.objects.unfinished().filter(pk__in=ids).values_list("pk", flat=True):
        job_cancel(job_id=job_id)
    Job.objects.filter(pk__in=ids).delete()
    for job_id in ids:
        stream.forget_if_reachable(job_id)


def kept_bytes(*, owner_key: str) -> int:
    """Bytes of images that a caller's saved jobs hold, each image once."""
    held = Job.objects.filter(image=OuterRef("pk"), owner_key=owner_key, is_kept=True)
    images = StoredImage.objects.filter(Exists(held))
    return images.aggregate(size=Sum("size_bytes"))["size"] or 0


def images_forget(*, ids: Collection[str]) -> int:
    """Delete images now that no job is about, rather than when their time is over; how many went.

    Raises:
        Busy: the storage cannot be used.
    """
    used, count = Exists(Job.objects.filter(image=OuterRef("pk"))), 0
    for sha256 in ids:
        with transaction.atomic():
            image = StoredImage.objects.select_for_update().filter(~used, pk=sha256).first()
            if image is not None:
                name = image.file_name
                image.delete()
                images.delete(name)
                count += 1
    return count
