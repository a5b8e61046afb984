"""Taking data sets in, and away."""

import io
from typing import IO

from django.conf import settings
from django.db import transaction

from inference.tuning import errors, files
from inference.tuning.models import TuningRun, TuningUpload
from inference.tuning.services.owners import one_at_a_time, storage_check
from inference.tuning.uploaded import judged, refused, upload_of
from inference.tuning.who import Who


def upload_make(*, file: IO[bytes], name: str, who: Who) -> TuningUpload:
    """Judge a data set and keep it for its owner.

    Raises:
        InvalidInput: it has faults; all of them are named, with file and line.
        TooLarge: its file is.
        Conflict: its owner keeps as much as they may.
        Busy: the storage is full or cannot be used.
    """
    size = file.seek(0, io.SEEK_END)
    if size > settings.TUNING_MAX_UPLOAD_MB << 20:
        raise errors.TUNING_DATA_TOO_LARGE(
            f"The file is larger than {settings.TUNING_MAX_UPLOAD_MB} MB."
        )
    data = judged(file)
    if data.faults:
        raise refused(data)
    examples = data.examples
    upload = TuningUpload(
        **who.fields, name=" ".join(name.split())[:120] or "data", size_bytes=size,
        rows=len(examples), images=data.images, skills=dict(data.skills), notes=data.notes,
        text_only=sum(e.open_image is None for e in examples),
        has_targets=all(e.target is not None for e in examples),
        has_references=all(e.reference is not None for e in examples),
    )  # fmt: skip
    with transaction.atomic():
        one_at_a_time(who)
        storage_check(who, size)
        upload.file = files.store(f"tuning/uploads/{upload.pk}", file)
        try:
            with transaction.atomic():
                upload.save(force_insert=True)
        except Exception:
            files.drop(upload.file)
            raise
    return upload


@transaction.atomic
def upload_delete(*, upload_id: str, who: Who) -> None:
    """Delete a data set of one's own.

    Raises:
        NotFound: there is none.
        Conflict: a run that has not ended needs it.
    """
    upload = upload_of(upload_id, who)
    one_at_a_time(who)
    if any(not run.is_finished for run in upload.runs.all()):
        raise errors.TUNING_RUN_STATE("A run that has not ended needs this data set.")
    upload.delete()


def upload_drop_unneeded(run: TuningRun) -> None:
    """Delete the data set of a run that is being deleted, unless another run has it too."""
    upload = run.upload
    if upload is not None and not upload.runs.exclude(pk=run.pk).exists():
        upload.delete()
