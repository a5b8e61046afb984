"""What clients note of their own steps."""

import math
from collections.abc import Mapping

from django.db import transaction

from inference.tuning.models import Finetune, StepRecord
from inference.tuning.requests import refused

MOST = 100
"""Figures of one step."""
MAX_NAME = 80
MAX_STEP = 2**31 - 1
MOST_STEPS = 20_000


@transaction.atomic
def metrics_log(*, finetune: Finetune, step: int, metrics: Mapping[str, float]) -> int:
    """Keep figures of a step beside its own; a name that was there gets the new figure.

    Returns:
        How many were kept.

    Raises:
        InvalidInput: too many, too long names, or no finite numbers.
    """
    if not 0 <= step <= MAX_STEP:
        raise refused("step", "must be 0 or more")
    for name, value in metrics.items():
        if not 0 < len(name) <= MAX_NAME or "\x00" in name:
            raise refused("metrics", f"must have names of 1 to {MAX_NAME} characters")
        if not math.isfinite(value):
            raise refused(f"metrics.{name}", "must be a finite number")
    Finetune.objects.select_for_update().get(pk=finetune.pk)
    record, is_new = StepRecord.objects.get_or_create(finetune=finetune, step=step)
    record.logged = {**record.logged, **metrics}
    if len(record.logged) > MOST:
        raise refused("metrics", f"hold over {MOST} figures of one step")
    if is_new and finetune.steps.count() > MOST_STEPS:
        raise refused("step", f"is one too many: {MOST_STEPS} are kept")
    record.save(update_fields=["logged"])
    return len(metrics)
