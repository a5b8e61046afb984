"""Files go when the rows that name them go, however that comes."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from inference.tuning import files, uploaded  # noqa: F401  # its source registers itself
from inference.tuning.models import Checkpoint, Operation, TuningUpload


@receiver(post_delete, sender=Checkpoint)
def _checkpoint_deleted(instance: Checkpoint, **_: Any) -> None:
    transaction.on_commit(lambda: files.folder_drop(instance.folder, instance.files))


@receiver(post_delete, sender=TuningUpload)
def _upload_deleted(instance: TuningUpload, **_: Any) -> None:
    transaction.on_commit(lambda: files.drop(instance.file))


@receiver(post_delete, sender=Operation)
def _operation_deleted(instance: Operation, **_: Any) -> None:
    transaction.on_commit(lambda: files.drop(instance.request))
