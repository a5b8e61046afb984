"""The one way a Celery message is sent: when what it is about is committed.

A message sent earlier may reach a worker that does not see the row yet, or speak of one that is
rolled back.
"""

from collections.abc import Callable
from typing import Any

import redis
from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError


def send_on_commit(
    task: Task[..., Any], *args: Any, lost: Callable[[Exception], None], **options: Any
) -> None:
    """Send a task's message once the transaction commits; at once where there is none.

    Args:
        lost: called when the broker cannot be reached. What it raises reaches the caller where there
            was no transaction, and otherwise whoever commits.
        options: of `Task.apply_async`.
    """

    def send() -> None:
        try:
            task.apply_async(args, **options)
        except (OperationalError, redis.exceptions.RedisError) as error:
            lost(error)

    transaction.on_commit(send)
