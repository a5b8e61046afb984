"""Celery's way in; the work is in services."""

from celery import shared_task

from leaderboard import services


@shared_task(soft_time_limit=600, time_limit=620)
def score_submission(submission_id: str) -> None:
    """Score one submission; safe to deliver more than once."""
    services.submission_score(submission_id=submission_id)


@shared_task(soft_time_limit=600, time_limit=620)
def rebuild_table(state_id: int) -> None:
    """Make a table anew if it needs it; safe to deliver more than once."""
    services.table_rebuild(state_id=state_id)


@shared_task(soft_time_limit=600, time_limit=620)
def open_split(split_id: int) -> None:
    """Lay out a public split's references for pages."""
    services.split_open(split_id=split_id)


@shared_task(soft_time_limit=600, time_limit=620)
def open_submission(submission_id: str) -> None:
    """Lay out a submission's predictions for pages."""
    services.submission_open(submission_id=submission_id)


@shared_task(soft_time_limit=600, time_limit=620)
def register_images() -> None:
    """Tell which images are a benchmark's."""
    services.splits_register()


@shared_task
def rescue() -> None:
    """Queue again what was lost; go on with runs."""
    services.tables_rescue()
    services.submissions_rescue()
    services.blocks_rescue()
    services.entries_seal()
    services.runs_advance()


@shared_task
def refresh() -> None:
    """Run our variants over every benchmark where there is something new to measure."""
    services.entries_check()
    services.runs_start()
