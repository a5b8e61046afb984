"""What a run does when one of its jobs ends."""

from typing import Any

from inference.models import Job
from inference.signals import job_finished
from leaderboard import services


def connect() -> None:
    """Listen to the rooms below."""
    job_finished.connect(_job_finished, dispatch_uid="leaderboard-runs")


def _job_finished(sender: Any, job: Job, **_: Any) -> None:
    services.job_ended(job)
