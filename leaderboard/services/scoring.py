"""Scoring a submission: once, whoever is lost on the way; anew when a metric has a new version."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, stream
from inference.engine.metrics.numeric import np
from inference.errors import Busy, DomainError, InvalidInput
from leaderboard import disclosure, errors, vault
from leaderboard.models import Benchmark, PairTest, Score, Submission
from leaderboard.scoring import Score as Scored
from leaderboard.scoring import labels_of, score
from leaderboard.services.blocks import predictions_keep, predictions_stored
from leaderboard.services.entries import scored_of, standings
from leaderboard.services.quota import quota_refund
from leaderboard.services.stale import submission_stale, tables_stale
from leaderboard.services.submitting import (
    log,
    predictions_drop,
    refuse_problems,
    submission_queue,
)
from leaderboard.signals import submission_scored

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
AT_ONCE = 20
"""Files that are deleted in one go."""


def submission_score(*, submission_id: UUID | str) -> None:
    """Score a queued submission. Delivered twice, it is scored once; a lost worker's is taken over.

    What the submitter did wrong fails it; what went wrong here fails it too, and gives the quota back.
    """
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, submission_id, wait_s=lease.SECONDS + 1)
        if taken is None:
            return
        submission = _claim(submission_id)
        if submission is None:
            return
        with lease.renewed([taken]):
            _score(submission)


def _claim(submission_id: UUID | str) -> Submission | None:
    submission = (
        Submission.objects.select_related("split__benchmark", "team", "phase__challenge")
        .filter(pk=submission_id)
        .first()
    )
    if submission is None or submission.is_finished:
        return None
    if submission.attempt >= MAX_ATTEMPTS:
        _fail(submission, inference_errors.WORKER_LOST("The scorer was lost several times over."))
        return None
    # Withdrawn since it was read: it stays so.
    taken = Submission.objects.filter(pk=submission.pk, status__in=Submission.UNFINISHED).update(
        status=Submission.Status.RUNNING, attempt=F("attempt") + 1, started_at=timezone.now()
    )
    if not taken:
        return None
    submission.refresh_from_db(fields=["status", "attempt", "started_at"])
    return submission


def _score(submission: Submission) -> None:
    def progress(share: float) -> None:
        stream.publish_if_reachable(submission.pk, "progress", {"share": round(share, 2)})

    stream.publish_if_reachable(submission.pk, "status", {"status": "running"})
    try:
        scores = _scores(submission, progress)
    except InvalidInput as error:
        _fail(submission, error)
    except Busy as error:
        _put_back(submission, error)
    except SoftTimeLimitExceeded:
        _fail(submission, errors.SCORING_TIMEOUT())
    except Exception as error:  # noqa: BLE001  # whatever it is, the submitter's quota must not pay for it
        # Its text may quote a reference: where it was raised is enough to find it.
        where = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("Scoring %s failed: %s at %s:%s", submission.id, type(error).__name__, where.filename, where.lineno)  # fmt: skip
        _fail(submission, errors.SCORING_FAULT())
    else:
        _settle(submission, scores)


def _put_back(submission: Submission, error: Busy) -> None:
    """What scoring needs is away: this try does not count, and `submissions_rescue` queues another."""
    logger.warning("Submission %s waits: %s", submission.id, error.message)
    running = Submission.objects.filter(pk=submission.pk, status=Submission.Status.RUNNING)
    if running.update(status=Submission.Status.QUEUED, attempt=F("attempt") - 1):
        stream.publish_if_reachable(submission.pk, "status", {"status": "queued"})


def _scores(submission: Submission, progress: Callable[[float], None]) -> dict[str, Scored]:
    split = submission.split
    items = vault.unseal(split)
    if split.labels is None:  # filled before splits kept them
        split.labels = sorted(labels_of(items))
        split.save(update_fields=["labels"])
    checked = predictions_stored(submission, items)
    refuse_problems(checked)
    if not submission.is_finished:
        predictions_keep(submission, items, checked.predictions)
    progress(0.1)
    found = score(
        split.benchmark.rules, items, checked.predictions, data_hash=split.data_hash,
        progress=lambda share: progress(0.1 + 0.9 * share),
    )  # fmt: skip
    return {
        slug: replace(one, interval=disclosure.interval(split, one.metric, one.interval))
        for slug, one in found.items()
    }


def _settle(submission: Submission, scores: dict[str, Scored]) -> None:
    with transaction.atomic():
        if not _end(submission, status=Submission.Status.SCORED):
            return
        scores_keep(submission, scores, is_current=True)
        log(submission, "scored", actor="scorer")
        if submission.is_public:
            submission_stale(submission)
    stream.publish_if_reachable(submission.pk, "result", {"status": submission.status})
    submission_scored.send(Submission, submission=submission)


def _end(submission: Submission, **fields: Any) -> bool:
    """Set a running submission's last state, under its lock; False where it was withdrawn, or its
    benchmark deleted, while it was scored: then nothing comes of it. Expects a transaction."""
    running = Submission.objects.filter(pk=submission.pk, status__in=Submission.UNFINISHED)
    if not running.update(finished_at=timezone.now(), **fields):
        logger.info("Submission %s is gone; its scoring ends here", submission.pk)
        return False
    # Also what may have changed since it was taken: whether it is shown.
    submission.refresh_from_db(fields=["finished_at", "is_public", *fields])
    return True


def scores_keep(
    submission: Submission, scores: dict[str, Scored], *, is_current: bool
) -> list[Score]:
    """Save scores beside those of other scorers."""
    kept = []
    for slug, one in scores.items():
        if not np.isfinite(one.interval.value):
            continue
        fields: dict[str, Any] = {
            "version": one.metric.version, "value": one.interval.value, "low": one.interval.low,
            "high": one.interval.high, "by_category": one.by_category, "is_current": is_current,
            "per_item": _stored(one.per_item), "contributions": _stored(one.contributions),
        }  # fmt: skip
        row, _ = Score.objects.update_or_create(
            submission=submission, metric=slug, signature=one.signature, defaults=fields
        )
        kept.append(row)
    return kept


def _stored(numbers: np.ndarray | None) -> bytes | None:
    return None if numbers is None else numbers.astype(np.float32).tobytes()


def _fail(submission: Submission, error: DomainError) -> None:
    """End a submission; a fault of ours gives its quota back."""
    failed = {
        "status": Submission.Status.FAILED,
        "error_code": error.code,
        "error_message": error.message[:500],
    }
    with transaction.atomic():
        if not _end(submission, **failed):
            return
        if error.status >= 500:
            quota_refund(submission, error.code)
        log(submission, "failed", actor="scorer", text=f"{submission.model_name}: {error.code}")
    stream.publish_if_reachable(submission.pk, "error", error.payload)


def submissions_rescue() -> int:
    """Queue again what nobody is scoring: broker or storage were away, or a worker died without a trace.
    Delete files of withdrawn ones that could not be deleted then."""
    gone = Submission.objects.filter(status=Submission.Status.WITHDRAWN).exclude(file="")
    for submission in gone[:AT_ONCE]:
        predictions_drop(submission)
    before = timezone.now() - timedelta(seconds=90)
    waiting = Submission.objects.filter(
        status__in=Submission.UNFINISHED, created_at__lt=before
    ).select_related("split__benchmark")
    count = 0
    for submission in waiting:
        recent = submission.started_at is not None and submission.started_at >= before
        if not recent and not lease.is_held(submission.id):
            submission_queue(submission)
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class Change:
    """What a scorer's new version would do to one submission."""

    submission: Submission
    metric: str
    old: float | None
    new: float


@dataclass(frozen=True, slots=True)
class Move:
    """Where it would put one on the table; None is not on it."""

    submission: Submission
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Rescored:
    """What differs: figures, and ranks."""

    changes: list[Change]
    moves: list[Move]


def rescore(*, benchmark: Benchmark, publish: bool = False) -> Rescored:
    """Score every submission anew, in the shadow of what is shown.

    Nothing on the table changes unless `publish` is set; then, once all are scored, the new scores
    become current together, the old ones are kept, and the tables are made anew by a worker.
    """
    changes: list[Change] = []
    table = scored_of(benchmark)
    before = standings(benchmark, table)
    fresh: dict[UUID, dict[str, Score]] = {}
    shadows: dict[UUID, list[Score]] = {}
    submissions = Submission.objects.filter(
        split__benchmark=benchmark, status=Submission.Status.SCORED
    ).select_related("split__benchmark", "team")
    for submission in submissions:
        try:
            scores = _scores(submission, lambda _share: None)
        except (DomainError, OSError) as error:
            logger.warning("Submission %s cannot be scored anew: %s", submission.id, error)
            continue
        current = {s.metric: s for s in submission.scores.filter(is_current=True)}
        changes += [
            Change(submission, slug, old.value if (old := current.get(slug)) else None, one.interval.value)
            for slug, one in scores.items()
            if slug not in current or abs(current[slug].value - one.interval.value) > 1e-9
        ]  # fmt: skip
        fresh[submission.pk] = {s: Score(value=one.interval.value) for s, one in scores.items()}
        shadows[submission.pk] = _shadow(submission, scores, current)
    after = standings(benchmark, [(s, fresh.get(s.pk, scores)) for s, scores in table])
    if publish:
        _swap(benchmark, shadows)
    moves = [
        Move(submission, before.get(submission.pk), after.get(submission.pk))
        for submission, _ in table
        if before.get(submission.pk) != after.get(submission.pk)
    ]
    return Rescored(changes, moves)


@transaction.atomic
def _shadow(
    submission: Submission, scores: dict[str, Scored], current: dict[str, Score]
) -> list[Score]:
    """Keep what differs from the current scores beside them; nothing of one that is gone by now."""
    fresh = {
        slug: one
        for slug, one in scores.items()
        if slug not in current or current[slug].signature != one.signature
    }
    if not fresh or not _scored([submission.pk]):
        return []
    return scores_keep(submission, fresh, is_current=False)


def _scored(ids: Iterable[UUID]) -> list[Submission]:
    """Those that are scored still, locked."""
    found = Submission.objects.filter(pk__in=ids, status=Submission.Status.SCORED).order_by("pk")
    locked = found.select_for_update(no_key=True, of=("self",))
    return list(locked.select_related("split"))


@transaction.atomic
def _swap(benchmark: Benchmark, shadows: Mapping[UUID, Sequence[Score]]) -> None:
    """Show the new scores of all submissions at one moment, and forget tests of the old ones."""
    for submission in _scored(pk for pk, scores in shadows.items() if scores):
        scores = shadows[submission.pk]
        submission.scores.filter(metric__in=[s.metric for s in scores]).update(is_current=False)
        Score.objects.filter(pk__in=[s.pk for s in scores]).update(is_current=True)
        log(submission, "scored anew", actor="scorer")
    old = Q(first__is_current=False) | Q(second__is_current=False)
    PairTest.objects.filter(old, first__submission__split__benchmark=benchmark).delete()
    challenges = benchmark.challenges.values_list("pk", flat=True)
    tables_stale(benchmarks=[benchmark.pk], challenges=challenges)
