"""Celery's way in; the work is in services."""

from typing import Any

from celery import Task, shared_task

from inference.tuning import services


@shared_task(bind=True, soft_time_limit=900, time_limit=960)
def tuning_advance(self: Task[Any, Any], run_id: str, turn: int) -> None:
    """Train a run for one turn; safe to deliver more than once."""
    services.run_advance(run_id=run_id, turn=turn, worker=self.request.hostname or "worker")


@shared_task(soft_time_limit=900, time_limit=960)
def tuning_operate(operation_id: str) -> None:
    """Answer a client's call; safe to deliver more than once."""
    services.operation_run(operation_id=operation_id)


@shared_task(soft_time_limit=services.TRIAL_S, time_limit=services.TRIAL_S + 30)
def tuning_try(
    name: str, mine: str, variant_id: int, data: dict[str, Any], plan: dict[str, Any],
    reward: dict[str, Any],
) -> None:  # fmt: skip
    """Sample and reward a few answers for who thinks about a run."""
    services.trial_run(
        name=name, mine=mine, variant_id=variant_id, data=data, plan=plan, reward=reward
    )


@shared_task
def tuning_rescue() -> None:
    """Go on with what nobody works on any more."""
    services.tuning_rescue()


@shared_task
def tuning_purge() -> None:
    """Delete what is past its retention."""
    services.tuning_purge()
