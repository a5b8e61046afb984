"""What tables and runs do when something they rest on changes."""

import logging
from typing import Any

from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, post_save

from inference.models import Job, Variant
from inference.signals import job_finished
from leaderboard import services
from leaderboard.models import Benchmark, ReportedFigure, Team
from leaderboard.services.entries import BY_RELEASE

logger = logging.getLogger(__name__)


def connect() -> None:
    """Listen to the rooms below."""
    job_finished.connect(_job_finished, dispatch_uid="leaderboard-runs")
    post_save.connect(_variant_saved, sender=Variant, dispatch_uid="leaderboard-variants")
    m2m_changed.connect(
        _members_changed, sender=Team.members.through, dispatch_uid="leaderboard-members"
    )
    for saved in (post_save, post_delete):
        saved.connect(_reported_saved, sender=ReportedFigure, dispatch_uid="leaderboard-reported")


def _members_changed(sender: Any, instance: Any, action: str, **sent: Any) -> None:
    """Whoever goes out of a team (by a member, an admin's form, anything) knows its invitation."""
    if action not in ("post_remove", "pre_clear"):
        return
    if not sent["reverse"]:
        services.invites_end([instance.pk])
    elif sent["pk_set"] is not None:
        services.invites_end(sent["pk_set"])
    else:
        services.invites_end(instance.teams.values_list("pk", flat=True))


def _job_finished(sender: Any, job: Job, **_: Any) -> None:
    try:
        services.job_ended(job)
    except Exception:  # the job itself is answered; the sweeper goes on with the run
        logger.exception("A run could not go on after job %s", job.pk)


def _variant_saved(sender: Any, update_fields: frozenset[str] | None = None, **_: Any) -> None:
    # Other weights: what was measured with the old ones has expired. A worker that notes what it
    # loaded changes no revision, and must not wait for all tables to be read.
    if update_fields is None or "revision" in update_fields:
        services.entries_check()


def _reported_saved(sender: Any, instance: ReportedFigure, **_: Any) -> None:
    name = instance.benchmark.removesuffix(BY_RELEASE)
    for benchmark in Benchmark.objects.filter(Q(title=name) | Q(slug=name)):
        services.entries_make(benchmark=benchmark)
