"""Checkpoints as files to take away: an address that works for a while, and a file behind it."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.core import signing

from inference.engine.tuning.names import VENDOR_FILE
from inference.tuning import errors, files
from inference.tuning.models import Checkpoint
from inference.tuning.services.checkpoints import STATE_FILES

Format = Literal["moondream", "peft"]
_SALT = "tuning-checkpoint"
_AGE_S = 3600
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Download:
    """A checkpoint's file in one format."""

    checkpoint: Checkpoint
    format: Format

    @property
    def name(self) -> str:
        end = "pt" if self.format == "moondream" else "zip"
        return f"{self.checkpoint.finetune_id}-{self.checkpoint.step}.{end}"

    @property
    def content_type(self) -> str:
        return "application/octet-stream" if self.format == "moondream" else "application/zip"

    def pieces(self) -> Iterator[bytes]:
        """
        Raises:
            FileNotFoundError: a file is gone.
            Busy: the storage cannot be used.
        """
        if self.format == "peft":
            return _zipped(self.checkpoint)
        return _pieces(files.private().open(f"{self.checkpoint.folder}/{VENDOR_FILE}"))


def token_of(checkpoint: Checkpoint, wanted: Format | None = None) -> str:
    """What names a checkpoint's file to whoever has it, for an hour.

    Args:
        wanted: None: Moondream's where the checkpoint has one.

    Raises:
        Conflict: the checkpoint cannot be had in this format.
    """
    if wanted == "moondream" and not checkpoint.has_vendor_file:
        raise errors.NO_VENDOR_FILE()
    chosen = wanted or ("moondream" if checkpoint.has_vendor_file else "peft")
    return signing.dumps([checkpoint.pk, chosen], salt=_SALT)


def download_of(token: str) -> Download:
    """
    Raises:
        BadSignature: it is none, or too old.
        NotFound: the checkpoint is gone.
    """
    key, chosen = signing.loads(token, salt=_SALT, max_age=_AGE_S)
    found = Checkpoint.objects.filter(pk=key, finetune__deleted_at=None).first()
    if found is None:
        raise errors.CHECKPOINT_NOT_FOUND()
    return Download(found, chosen)


def _zipped(checkpoint: Checkpoint) -> Iterator[bytes]:
    """The adapter's folder in PEFT's format, made on disk, so that no memory holds it."""
    made = tempfile.TemporaryFile()  # noqa: SIM115  # read, and closed, by who iterates
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in checkpoint.files:
            if name in (*STATE_FILES, VENDOR_FILE):
                continue
            with (
                files.private().open(f"{checkpoint.folder}/{name}") as source,
                archive.open(name, "w") as target,
            ):
                for piece in source.chunks():
                    target.write(piece)
    made.seek(0, io.SEEK_SET)
    return _pieces(made)


def _pieces(opened: Any) -> Iterator[bytes]:
    with opened:
        while piece := opened.read(_PIECE):
            yield piece
