"""What runs on the side: rescue, retention."""

import contextlib
import logging
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import Storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, selectors
from inference.errors import DomainError
from inference.tuning import QUEUE, files
from inference.tuning.models import Checkpoint, Finetune, Operation, TuningRun, TuningUpload
from inference.tuning.services.operations import operation_end, operation_send
from inference.tuning.services.runs import (
    UNDER_WAY,
    WISHED,
    lease_name,
    run_delete,
    run_send,
    settle,
)

logger = logging.getLogger(__name__)
_QUIET = timedelta(seconds=15)
"""Without progress for so long, a run that nobody holds has lost its message or its worker."""
_LONG = timedelta(minutes=10)
"""After this it is sent again even while others' messages wait, of which one may be its own."""
_OPERATION_S = 1200
_KEPT_OPERATIONS = timedelta(days=1)
_KEPT_DELETED = timedelta(days=30)
_KEPT_FILES = timedelta(hours=1)
"""Files that belong to nothing may be of what is being stored just now."""


def tuning_rescue() -> int:
    """Go on with runs and calls that nobody works on any more; how many."""
    now, count = timezone.now(), 0
    quiet = Q(advanced_at__lt=now - _QUIET) | Q(advanced_at=None, created_at__lt=now - _QUIET)
    is_idle = selectors.queue_depth(QUEUE) == 0
    for run in TuningRun.objects.filter(quiet, status__in=UNDER_WAY):
        if lease.is_held(lease_name(run.finetune_id)):
            continue
        is_old = (run.advanced_at or run.created_at) < now - _LONG
        if (is_idle or is_old or run.wish) and _run_rescue(run):
            count += 1
    return count + _operations_rescue(is_idle=is_idle)


@transaction.atomic
def _run_rescue(found: TuningRun) -> bool:
    Finetune.objects.select_for_update().get(pk=found.finetune_id)
    run = TuningRun.objects.select_for_update().get(pk=found.pk)
    if run.turn != found.turn or run.status not in UNDER_WAY:
        return False
    if run.wish:
        settle(run, WISHED[run.wish])
        return True
    run.turn += 1
    run.advanced_at = timezone.now()
    run.save(update_fields=["turn", "advanced_at"])
    run_send(run)
    return True


def _operations_rescue(*, is_idle: bool) -> int:
    count = 0
    before = timezone.now() - _QUIET
    open_ = Operation.objects.exclude(status__in=("succeeded", "failed"))
    for operation in open_.filter(created_at__lt=before):
        if lease.is_held(lease_name(operation.finetune_id)):
            continue
        if operation.created_at < timezone.now() - timedelta(seconds=_OPERATION_S):
            operation_end(operation, error=inference_errors.TIMEOUT())
        elif is_idle:
            operation_send(operation)
        else:
            continue
        count += 1
    return count


def tuning_purge() -> None:
    """Delete what is past its retention, and files that belong to nothing."""
    now = timezone.now()
    before = now - timedelta(days=settings.TUNING_RETENTION_DAYS)
    for upload in TuningUpload.objects.filter(runs=None, created_at__lt=before):
        upload.delete()
    anonymous = TuningRun.objects.filter(finetune__owner=None, created_at__lt=before)
    for run in anonymous.select_related("finetune"):
        run_delete(run=run)
    Operation.objects.filter(created_at__lt=now - _KEPT_OPERATIONS).delete()
    Finetune.objects.filter(deleted_at__lt=now - _KEPT_DELETED, run=None).delete()
    with contextlib.suppress(DomainError):
        _drop_strays(files.private())


def _drop_strays(storage: Storage) -> None:
    """Delete files of checkpoints and uploads that no row names: their worker was lost on the way."""
    known = set(Checkpoint.objects.values_list("folder", flat=True))
    known |= set(TuningUpload.objects.values_list("file", flat=True))
    known |= set(Operation.objects.values_list("request", flat=True))
    for owner in _listed(storage, "tuning")[0]:
        folders, names = _listed(storage, f"tuning/{owner}")
        for name in names:
            _drop_stray(storage, known, f"tuning/{owner}/{name}", f"tuning/{owner}/{name}")
        for folder in folders:
            path = f"tuning/{owner}/{folder}"
            for name in _listed(storage, path)[1]:
                _drop_stray(storage, known, path, f"{path}/{name}")


def _drop_stray(storage: Storage, known: set[str], owner: str, name: str) -> None:
    if owner in known:
        return
    with contextlib.suppress(FileNotFoundError):
        if storage.get_modified_time(name) < timezone.now() - _KEPT_FILES:
            logger.info("A file that belongs to nothing is deleted: %s", name)
            storage.delete(name)


def _listed(storage: Storage, path: str) -> tuple[list[str], list[str]]:
    try:
        return storage.listdir(path)
    except FileNotFoundError:
        return [], []
