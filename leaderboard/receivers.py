"""What a run does when one of its jobs ends."""

import logging
from typing import Any

from inference.models import Job
from inference.signals import job_finished
from leaderboard import services

logger = logging.getLogger(__name__)


def connect() -> None:
    """Listen to the rooms below."""
    job_finished.connect(_job_finished, dispatch_uid="leaderboard-runs")


def _job_finished(sender: Any, job: Job, **_: Any) -> None:
    try:
        services.job_ended(job)
    except Exception:  # the job itself is answered; the sweeper goes on with the run
        logger.exception("A run could not go on after job %s", job.pk)
