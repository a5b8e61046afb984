"""Scoring a submission: once, whoever is lost on the way; anew when a metric has a new version."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone

from inference import lease, stream
from inference.errors import DomainError, InvalidInput
from leaderboard import vault
from leaderboard.models import Benchmark, Score, Submission
from leaderboard.scoring import Score as Scored
from leaderboard.scoring import read_predictions, score
from leaderboard.services.entries import entries_make, scored_of, standings
from leaderboard.services.standings import standings_make, tables_make
from leaderboard.services.submitting import log, quota_refund, refuse_problems, submission_queue
from leaderboard.signals import submission_scored

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3


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
        _fail(submission, "worker_lost", "The scorer was lost several times over.", ours=True)
        return None
    submission.status = Submission.Status.RUNNING
    submission.attempt += 1
    submission.started_at = timezone.now()
    submission.save(update_fields=["status", "attempt", "started_at"])
    return submission


def _score(submission: Submission) -> None:
    def progress(share: float) -> None:
        _tell(submission, "progress", {"share": round(share, 2)})

    _tell(submission, "status", {"status": "running"})
    try:
        scores = _scores(submission, progress)
    except InvalidInput as error:
        _fail(submission, error.code, error.message, ours=False)
    except SoftTimeLimitExceeded:
        _fail(submission, "scoring_timeout", "Scoring took longer than its limit.", ours=False)
    except Exception:  # whatever it is, the submitter's quota must not pay for it
        logger.exception("Scoring %s failed", submission.id)
        _fail(submission, "scoring_fault", "Scoring failed on our side; your quota was given back.", ours=True)  # fmt: skip
    else:
        _settle(submission, scores)


def _scores(submission: Submission, progress: Callable[[float], None]) -> dict[str, Scored]:
    split = submission.split
    items = vault.unseal(split)
    with storages["private"].open(submission.file) as file:
        checked = read_predictions(split.benchmark.rules, {i.key for i in items}, file)
    refuse_problems(checked)
    progress(0.1)
    return score(
        split.benchmark.rules, items, checked.predictions, data_hash=split.data_hash,
        progress=lambda share: progress(0.1 + 0.9 * share),
    )  # fmt: skip


def _settle(submission: Submission, scores: dict[str, Scored]) -> None:
    with transaction.atomic():
        scores_keep(submission, scores, is_current=True)
        # Withdrawn while it was scored: it stays so.
        Submission.objects.filter(pk=submission.pk, status=Submission.Status.RUNNING).update(
            status=Submission.Status.SCORED, finished_at=timezone.now()
        )
        log(submission, "scored", actor="scorer")
    tables_make(submission)
    submission.refresh_from_db()
    _tell(submission, "result", {"status": submission.status})
    submission_scored.send(Submission, submission=submission)


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
            "per_item": None if one.per_item is None else one.per_item.astype(np.float32).tobytes(),
        }  # fmt: skip
        row, _ = Score.objects.update_or_create(
            submission=submission, metric=slug, signature=one.signature, defaults=fields
        )
        kept.append(row)
    return kept


def _fail(submission: Submission, code: str, message: str, *, ours: bool) -> None:
    submission.status = Submission.Status.FAILED
    submission.error_code, submission.error_message = code, message[:500]
    submission.finished_at = timezone.now()
    submission.save(update_fields=["status", "error_code", "error_message", "finished_at"])
    if ours:
        quota_refund(submission, code)
    log(submission, "failed", actor="scorer", text=f"{submission.model_name}: {code}")
    _tell(submission, "error", {"code": code, "message": message})


def _tell(submission: Submission, kind: str, data: dict[str, Any]) -> None:
    with contextlib.suppress(redis.exceptions.RedisError):
        stream.publish(submission.id, kind, data)


def submissions_rescue() -> int:
    """Queue again what nobody is scoring: the broker was away, or a worker died without a trace."""
    before = timezone.now() - timedelta(seconds=90)
    waiting = Submission.objects.filter(
        status__in=(Submission.Status.QUEUED, Submission.Status.RUNNING), created_at__lt=before
    ).select_related("split__benchmark")
    count = 0
    for submission in waiting:
        recent = submission.started_at is not None and submission.started_at >= before
        if not recent and not stream.client().exists(stream.key(submission.id, "lease")):
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

    Nothing on the table changes unless `publish` is set; then the new scores become current, and the
    old ones are kept.
    """
    changes: list[Change] = []
    table = scored_of(benchmark)
    before = standings(benchmark, table)
    fresh: dict[UUID, dict[str, Score]] = {}
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
        _swap(submission, scores, current, publish=publish)
    after = standings(benchmark, [(s, fresh.get(s.pk, scores)) for s, scores in table])
    if publish:
        entries_make(benchmark=benchmark)
        for challenge in benchmark.challenges.all():
            standings_make(challenge=challenge)
    moves = [
        Move(submission, before.get(submission.pk), after.get(submission.pk))
        for submission, _ in table
        if before.get(submission.pk) != after.get(submission.pk)
    ]
    return Rescored(changes, moves)


@transaction.atomic
def _swap(
    submission: Submission, scores: dict[str, Scored], current: dict[str, Score], *, publish: bool
) -> None:
    fresh = {
        slug: one
        for slug, one in scores.items()
        if slug not in current or current[slug].signature != one.signature
    }
    if not fresh:
        return
    if publish:
        submission.scores.filter(metric__in=fresh, is_current=True).update(is_current=False)
        log(submission, "scored anew", actor="scorer")
    scores_keep(submission, fresh, is_current=publish)
