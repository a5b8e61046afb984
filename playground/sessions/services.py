"""Saving runs, and what their owner does with them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import services as inference
from playground import errors
from playground.models import Comparison, Run, Session, Share
from playground.sessions import selectors
from playground.sessions.visitor import Visitor

MB = 1024 * 1024
EXPIRIES = {"": None, "1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30)}
"""How long a link may show its run, by what the form sends: days, or without an end."""


@transaction.atomic
def run_save(
    *, job_id: UUID, owner_key: str, visitor: Visitor, session_id: str = "", image_name: str = "", sample: str = "",
    comparison: Comparison | None = None, is_measurement: bool = False,
) -> Run:  # fmt: skip
    """Save a visitor's own job in a session of theirs, or in a new one. Saved twice, it is there once.

    Args:
        owner_key: the caller's, as it was when they asked.
        session_id: a session of the visitor's; one that is not is as none.
        is_measurement: the session's list is not to show it.

    Raises:
        NotFound: no such job, or another caller's.
        Conflict: what is saved takes all the room that it may.
    """
    check_room(visitor, owner_key)
    job = inference.job_keep(job_id=job_id, owner_key=owner_key)
    session = Session.objects.select_for_update().filter(visitor.owns, pk=session_id[:26]).first()
    if session is None:
        session = Session.objects.create(**visitor.fields)
    run, is_new = Run.objects.get_or_create(
        session=session, job=job,
        defaults={
            "image_name": image_name[:120], "sample": sample[:40], "comparison": comparison,
            "is_measurement": is_measurement, "revision": job.variant.revision, "precision": job.variant.precision,
        },
    )  # fmt: skip
    if is_new:
        session.used_at = timezone.now()
        session.save(update_fields=["used_at"])
    return run


def check_room(visitor: Visitor, owner_key: str) -> None:
    """
    Raises:
        Conflict: what is saved takes all the room that it may.
    """
    if visitor.user is not None:
        used, limit = selectors.bytes_of(visitor.user), settings.SESSIONS_STORAGE_MB
    else:  # cookies cost nothing: a network has one allowance
        used, limit = inference.kept_bytes(owner_key=owner_key), settings.SESSIONS_ANON_STORAGE_MB
    if used >= limit * MB:
        raise errors.SESSIONS_FULL()


def session_rename(*, session: Session, name: str) -> None:
    """Give a session a name; an empty one gives it back what its first run asked."""
    session.name = " ".join(name.split())[:120]
    session.save(update_fields=["name"])


@transaction.atomic
def session_fork(*, session: Session, visitor: Visitor) -> Session:
    """A session of its own with the same runs, to go on from there."""
    name = f"{selectors.title_of(session)[:113]} (copy)"
    fork = Session.objects.create(name=name, forked_from=session, **visitor.fields)
    Run.objects.bulk_create(
        Run(
            session=fork, job_id=run.job_id, image_name=run.image_name, sample=run.sample,
            revision=run.revision, precision=run.precision,
        )
        for run in session.runs.listed()
    )  # fmt: skip
    return fork


def session_delete(*, session: Session) -> None:
    """Delete a session for good, with its links, and the answers that no other session of its owner's
    holds.

    Raises:
        RedisError: something of it is answered right now, and its worker cannot be told.
    """
    _delete([session.pk])


def run_delete(*, run: Run) -> None:
    """Delete one run of a session for good; a session without runs goes with its last.

    Raises:
        RedisError: see `session_delete`.
    """
    if run.session.runs.listed().count() == 1:
        _delete([run.session_id])
        return
    with transaction.atomic():
        job_id = run.job_id
        run.delete()
        _delete_jobs({job_id})


def sessions_erase(*, user: Any) -> None:
    """Delete all sessions of an account for good.

    Raises:
        RedisError: something of them is answered right now, and its worker cannot be told.
    """
    own = list(Session.objects.filter(owner=user).values_list("pk", flat=True))
    for start in range(0, len(own), 100):
        _delete(own[start : start + 100])


@transaction.atomic
def _delete(session_ids: list[str]) -> None:
    jobs = set(Run.objects.filter(session__in=session_ids).values_list("job_id", flat=True))
    Session.objects.filter(pk__in=session_ids).delete()
    _delete_jobs(jobs)


def _delete_jobs(ids: set[UUID]) -> None:
    held = Run.objects.filter(job__in=ids).values_list("job_id", flat=True)
    inference.jobs_delete(ids=ids - set(held))


def sessions_purge() -> int:
    """Delete what visitors without an account left long ago; returns how many sessions."""
    before = timezone.now() - timedelta(days=settings.SESSIONS_RETENTION_DAYS)
    old = list(
        Session.objects.filter(owner=None, used_at__lt=before).values_list("pk", flat=True)[:1000]
    )
    for start in range(0, len(old), 100):
        _delete(old[start : start + 100])
    return len(old)


def sessions_adopt(*, user: Any, visitor: Visitor) -> int:
    """Move what a browser saved to the account that signs in there; returns how many sessions."""
    if not visitor.key:
        return 0
    return Session.objects.filter(owner=None, visitor=visitor.key).update(owner=user, visitor="")


def share_make(
    *, run: Run, days: str = "", comparison: Comparison | None = None, is_grid: bool = False
) -> Share:
    """A link that shows a run to whoever has it, from now on: also while it is answered.

    Args:
        days: one of `EXPIRIES`.
        comparison: show all of it; the run is its first.
        is_grid: show the comparison's whole grid.

    Raises:
        InvalidInput: no such time.
    """
    if days not in EXPIRIES:
        raise errors.BAD_EXPIRY()
    lasts = EXPIRIES[days]
    return Share.objects.create(
        run=run, comparison=comparison, is_grid=is_grid,
        expires_at=timezone.now() + lasts if lasts else None,
    )  # fmt: skip


def share_revoke(*, share: Share) -> None:
    """Make a link show nothing any more. Safe to repeat."""
    Share.objects.filter(pk=share.pk, revoked_at=None).update(revoked_at=timezone.now())
