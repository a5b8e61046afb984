"""What tables and runs do when something they rest on changes."""

import logging
from typing import Any

from allauth.account.signals import user_signed_up
from django.db.models.signals import m2m_changed, post_delete, post_save
from wagtail.models import Revision
from wagtail.signals import published, unpublished

from inference import page_cache
from inference.models import Job, Variant
from inference.signals import job_finished
from inference.tuning.models import Finetune
from leaderboard import services
from leaderboard.models import (
    Benchmark,
    Challenge,
    Entry,
    LogLine,
    Membership,
    Participation,
    Phase,
    ReportedFigure,
    Score,
    Split,
    Standing,
    Submission,
    TableState,
    Team,
)

logger = logging.getLogger(__name__)


def connect() -> None:
    """Listen to the rooms below, and to sign-ups."""
    user_signed_up.connect(_signed_up, dispatch_uid="leaderboard-team")
    job_finished.connect(_job_finished, dispatch_uid="leaderboard-runs")
    post_save.connect(_variant_saved, sender=Variant, dispatch_uid="leaderboard-variants")
    for changed in (post_save, post_delete):
        changed.connect(_finetune_changed, sender=Finetune, dispatch_uid="leaderboard-finetunes")
    m2m_changed.connect(
        _members_changed, sender=Team.members.through, dispatch_uid="leaderboard-members"
    )
    post_delete.connect(_member_left, sender=Membership, dispatch_uid="leaderboard-left")
    for saved in (post_save, post_delete):
        saved.connect(_reported_saved, sender=ReportedFigure, dispatch_uid="leaderboard-reported")
    post_save.connect(_benchmark_saved, sender=Benchmark, dispatch_uid="leaderboard-benchmarks")
    post_save.connect(_split_saved, sender=Split, dispatch_uid="leaderboard-splits")
    post_save.connect(_team_saved, sender=Team, dispatch_uid="leaderboard-teams")
    post_delete.connect(_submission_deleted, sender=Submission, dispatch_uid="leaderboard-deleted")
    for changed in (published, unpublished):
        changed.connect(
            _challenge_published, sender=Challenge, dispatch_uid="leaderboard-published"
        )
    post_delete.connect(_challenge_deleted, sender=Challenge, dispatch_uid="leaderboard-challenges")
    _watch()


def _watch() -> None:
    """What pages that are kept show."""
    drafts = ("latest_revision", "has_unpublished_changes", "locked", "locked_at", "locked_by")
    page_cache.watch(Challenge, unshown=drafts)
    page_cache.watch(
        Benchmark, Split, Entry, ReportedFigure, Phase, Standing, Participation, Score,
        LogLine,
    )  # fmt: skip
    # Before it has scores, only its own team sees a submission.
    unshown = ("attempt", "started_at", "error_code", "error_message", "idempotency_key", "contact")
    page_cache.watch(Submission, unshown=unshown, inserts=False)
    people = ("members", "invite_code", "invite_until", "invited_by", "invite_role", "look")
    page_cache.watch(Team, unshown=people, inserts=False)
    page_cache.watch(TableState, unshown=("generation", "failures", "tried_at"))
    page_cache.changes_at(Challenge, "opens_at", "closes_at", "freeze_at", "expire_at")
    page_cache.changes_at(Phase, "starts_at", "ends_at")


def _members_changed(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_: Any  # noqa: FBT001  # Django's signature
) -> None:  # fmt: skip
    """Who comes in by an admin's form, or anything: somebody in the team owns it."""
    if action == "post_add":
        services.owners_ensure(pk_set or () if reverse else [instance.pk])


def _member_left(sender: Any, instance: Membership, **_: Any) -> None:
    """Whoever goes out of a team (by themselves, an owner, an admin's form, their account) knows its
    invitation."""
    services.invites_end([instance.team_id])
    services.owners_ensure([instance.team_id])


def _signed_up(sender: Any, user: Any, **_: Any) -> None:
    services.team_of(user)  # to be named, and to invite others to, before the first submission


def _job_finished(sender: Any, job: Job, **_: Any) -> None:
    try:
        services.job_ended(job)
    except Exception:  # the job itself is answered; the sweeper goes on with the run
        logger.exception("A run could not go on after job %s", job.pk)


def _variant_saved(
    sender: Any, instance: Variant, update_fields: frozenset[str] | None = None, **_: Any
) -> None:
    # A worker that notes what it loaded changes no revision, and must not wait for tables.
    if update_fields is None or "revision" in update_fields:
        services.variant_changed(slug=instance.slug)


def _finetune_changed(
    sender: Any,
    instance: Finetune,
    created: bool | None = None,  # noqa: FBT001  # Django's signature; None: it was deleted
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    # Most saves are of a step that was trained.
    if created or (update_fields is not None and not update_fields & {"visibility", "deleted_at"}):
        return
    services.finetune_changed(
        finetune_id=instance.pk, is_gone=created is None or instance.deleted_at is not None,
        is_public=instance.visibility == Finetune.Visibility.PUBLIC,
    )  # fmt: skip


def _reported_saved(sender: Any, instance: ReportedFigure, **_: Any) -> None:
    services.reported_changed(name=instance.benchmark)


def _benchmark_saved(sender: Any, instance: Benchmark, **_: Any) -> None:
    # Its metric or the rule of who is shown may be another.
    services.tables_stale(benchmarks=[instance.pk])


def _split_saved(
    sender: Any, instance: Split, update_fields: frozenset[str] | None = None, **_: Any
) -> None:
    if update_fields is not None and not update_fields & {"is_public", "ranks", "item_count"}:
        return
    services.tables_stale(benchmarks=[instance.benchmark_id])
    services.split_saved(instance)


def _team_saved(
    sender: Any, instance: Team, created: bool, update_fields: frozenset[str] | None = None, **_: Any  # noqa: FBT001  # Django's signature
) -> None:  # fmt: skip
    if created or (update_fields is not None and "name" not in update_fields):
        return
    services.tables_stale(
        benchmarks=Entry.objects.filter(submission__team=instance).values_list("benchmark", flat=True),
        challenges=Standing.objects.filter(submission__team=instance).values_list("challenge", flat=True),
    )  # fmt: skip


def _submission_deleted(sender: Any, instance: Submission, **_: Any) -> None:
    # Perhaps with its benchmark: then there is no table any more.
    of = Split.objects.filter(pk=instance.split_id).values_list("benchmark", flat=True)
    phases = [instance.phase_id] if instance.phase_id else []
    challenges = Challenge.objects.filter(phases__in=phases).values_list("pk", flat=True)
    services.tables_stale(benchmarks=of, challenges=challenges, known=True)


def _challenge_published(
    sender: Any, instance: Challenge, revision: Revision | None = None, **_: Any
) -> None:
    services.challenge_changed(challenge=instance, by=revision.user if revision else None)


def _challenge_deleted(sender: Any, instance: Challenge, **_: Any) -> None:
    # A sealed phase of it may have taken a split's rows away.
    services.tables_stale(benchmarks=[instance.benchmark_id], known=True)
