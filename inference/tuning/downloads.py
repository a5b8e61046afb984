"""Checkpoints as files to take away: an address that works for a while, and a zip behind it."""

import io
import tempfile
import zipfile
from collections.abc import Iterator

from django.core import signing

from inference.tuning import errors, files
from inference.tuning.models import Checkpoint
from inference.tuning.services.checkpoints import STATE_FILES

_SALT = "tuning-checkpoint"
_AGE_S = 3600
_PIECE = 256 * 1024


def token_of(checkpoint: Checkpoint) -> str:
    """What names a checkpoint to whoever has it, for an hour."""
    return signing.dumps(checkpoint.pk, salt=_SALT)


def checkpoint_of(token: str) -> Checkpoint:
    """
    Raises:
        BadSignature: it is none, or too old.
        NotFound: the checkpoint is gone.
    """
    key = signing.loads(token, salt=_SALT, max_age=_AGE_S)
    found = Checkpoint.objects.filter(pk=key, finetune__deleted_at=None).first()
    if found is None:
        raise errors.CHECKPOINT_NOT_FOUND()
    return found


def zipped(checkpoint: Checkpoint) -> Iterator[bytes]:
    """The adapter's files, stored as they are; made on disk, so that no memory holds them.

    Raises:
        FileNotFoundError: one is gone.
        Busy: the storage cannot be used.
    """
    made = tempfile.TemporaryFile()  # noqa: SIM115  # read, and closed, by who iterates
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in checkpoint.files:
            if name in STATE_FILES:
                continue
            with (
                files.private().open(f"{checkpoint.folder}/{name}") as source,
                archive.open(name, "w") as target,
            ):
                for piece in source.chunks():
                    target.write(piece)
    made.seek(0, io.SEEK_SET)
    return _pieces(made)


def _pieces(made: "tempfile._TemporaryFileWrapper[bytes] | io.BufferedRandom") -> Iterator[bytes]:  # type: ignore[type-arg]
    with made:
        while piece := made.read(_PIECE):
            yield piece
