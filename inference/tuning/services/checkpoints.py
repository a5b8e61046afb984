"""Storing where a fine-tune stands, once: files first, then the row that says they are whole."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from inference.engine.tuning.names import OPTIMISER, STATE
from inference.tuning import errors, files
from inference.tuning.models import Checkpoint, Finetune

STATE_FILES = (OPTIMISER, STATE)
"""What training alone needs of a checkpoint."""


class Superseded(Exception):
    """Another worker has the fine-tune now, or it is deleted: what this one made does not count."""


def head_store(
    finetune: Finetune,
    *,
    step: int,
    write: Callable[[Path], None],
    keep: bool = False,
    together: Callable[[], Any] | None = None,
) -> Checkpoint:
    """Make what a worker has trained the place from which any worker goes on.

    Args:
        finetune: as it was claimed: its `fence` is the worker's right to write.
        write: fills a folder with the adapter and the state of its training.
        keep: whether it stays when another takes its place.
        together: writes to the database in the same transaction.

    Raises:
        Superseded: the fence is another by now.
        Busy: the storage is full or cannot be used. The head before it stays.
    """
    name = files.name_in(finetune.pk, str(step))
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
        try:
            write(Path(folder))
        except Exception as error:
            raise files.disk_error(error) from error
        stored = files.folder_store(Path(folder), name)
    try:
        with transaction.atomic():
            made = _advance(finetune, step, name, stored, keep=keep)
            if together is not None:
                together()
    except BaseException:
        files.folder_drop(name, stored)
        raise
    finetune.step, finetune.head = step, made
    return made


def _advance(
    finetune: Finetune, step: int, name: str, stored: dict[str, int], *, keep: bool
) -> Checkpoint:
    locked = Finetune.objects.select_for_update().filter(pk=finetune.pk).first()
    if locked is None or locked.deleted_at is not None or locked.fence != finetune.fence:
        raise Superseded
    before = locked.head
    same = locked.checkpoints.filter(step=step).first()
    if same is not None:  # stored again, as after a pause: it takes the other's place
        keep = keep or same.is_kept
        same.delete()
        before = None if before == same else before
    made = Checkpoint.objects.create(
        finetune=locked, step=step, folder=name, files=stored, is_kept=keep
    )
    if before is not None:
        _retire(before)
    locked.step, locked.head = step, made
    locked.save(update_fields=["step", "head", "updated_at"])
    return made


def _retire(before: Checkpoint) -> None:
    """What is no head any more goes; of one that is kept, the state of its training does."""
    if not before.is_kept:
        before.delete()
        return
    state = [name for name in STATE_FILES if name in before.files]
    before.files = {name: size for name, size in before.files.items() if name not in state}
    before.has_state = False
    before.save(update_fields=["files", "has_state", "updated_at"])
    transaction.on_commit(lambda: files.folder_drop(before.folder, state))


@transaction.atomic
def checkpoint_keep(*, finetune: Finetune) -> Checkpoint:
    """Keep the fine-tune as it is now; again, it changes nothing.

    Raises:
        Conflict: nothing was trained yet.
    """
    locked = (
        Finetune.objects.select_for_update(of=("self",)).select_related("head").get(pk=finetune.pk)
    )
    if locked.head is None:
        raise errors.NOTHING_TRAINED()
    if not locked.head.is_kept:
        locked.head.is_kept = True
        locked.head.save(update_fields=["is_kept", "updated_at"])
    return locked.head


@transaction.atomic
def checkpoint_delete(*, finetune: Finetune, step: int) -> None:
    """Delete a kept checkpoint. The one that training goes on from stays for that, and is no longer
    listed.

    Raises:
        NotFound: there is none of that step.
    """
    locked = Finetune.objects.select_for_update().get(pk=finetune.pk)
    found = locked.checkpoints.filter(step=step, is_kept=True).first()
    if found is None:
        raise errors.CHECKPOINT_NOT_FOUND(f"There is no saved checkpoint of step {step}.")
    if found.pk == locked.head_id:
        found.is_kept = False
        found.save(update_fields=["is_kept", "updated_at"])
    else:
        found.delete()
