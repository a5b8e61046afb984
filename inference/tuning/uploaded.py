"""Data sets that people send: read once by the web process, without decoding, and by a worker whole."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from PIL import Image

from inference import images
from inference.engine.files import UnreadableError
from inference.engine.tuning.datasets import Dataset, read_dataset
from inference.errors import DomainError
from inference.tuning import errors, files
from inference.tuning.models import TuningUpload
from inference.tuning.sources import (
    MOST_EXAMPLES,
    Chosen,
    Examples,
    Picture,
    known_fields,
    parted,
    register,
    wrong,
)
from inference.tuning.who import Who


class _Headers:
    """Images judged by what their headers claim; none is decoded, none is kept."""

    def keep(self, key: str, data: bytes) -> None:
        with _explained():
            images.check_size(len(data))
            images.check_header(data)

    def open(self, key: str) -> Image.Image:
        raise FileNotFoundError(key)


class _Folder:
    """Images decoded once, by the processes with limits that decode all images here, and kept as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, key: str, data: bytes) -> None:
        with _explained():
            normal = images.normalise(data)
        (self.folder / key).write_bytes(normal.data)

    def open(self, key: str) -> Image.Image:
        with Image.open(self.folder / key) as image:
            return image.convert("RGB")


class _explained:  # noqa: N801  # a context manager
    """What is wrong with an image, in words that follow its name."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # What is ours, as a decoder that is busy, is no fault of the file.
        if isinstance(error, DomainError) and error.status < 500 and error.status != 429:
            text = error.message[:1].lower() + error.message[1:].rstrip(".")
            raise UnreadableError(f"cannot be used: {text}") from error


def judged(file: IO[bytes]) -> Dataset:
    """A file's rows, and everything that is wrong with it; its images by their headers alone."""
    return read_dataset(file, _Headers(), most_rows=MOST_EXAMPLES)


def refused(data: Dataset) -> DomainError:
    """What the sender of a faulty data set reads."""
    first = data.faults[0]
    where = " ".join(p for p in (first.file, f"line {first.line}" if first.line else "") if p)
    more = f" And {data.faulty - 1:,} more." if data.faulty > 1 else ""
    return errors.BAD_TUNING_DATA(
        f"{where + ': ' if where else ''}{first.problem}.{more}",
        lines=[{"file": f.file, "line": f.line, "problem": f.problem} for f in data.faults],
        faulty=data.faulty,
    )


class Upload:
    """A data set that its owner uploaded."""

    slug = "upload"
    title = "Your own data"

    def choose(self, data: Mapping[str, Any], who: Who) -> Chosen:
        known_fields(data, "upload")
        upload = upload_of(data.get("upload"), who)
        kept = {"source": self.slug, "upload": str(upload.pk)}
        return Chosen(
            kept,
            tuple(upload.skills),
            upload.has_targets,
            upload.has_references,
            upload.text_only > 0,
        )

    def examples(self, data: Mapping[str, Any], folder: Path) -> Examples:
        upload = TuningUpload.objects.filter(pk=data["upload"]).first()
        if upload is None:
            raise errors.TUNING_UPLOAD_NOT_FOUND()
        with files.private().open(upload.file) as stored, tempfile.TemporaryFile() as here:
            for piece in stored.chunks():
                here.write(piece)
            read = read_dataset(here, _Folder(folder), most_rows=MOST_EXAMPLES)
        if read.faults:
            raise refused(read)
        return parted(read.examples)

    def picture(self, data: Mapping[str, Any], image_key: str) -> Picture:
        upload = TuningUpload.objects.filter(pk=data["upload"]).first()
        if upload is None:
            raise errors.TUNING_UPLOAD_NOT_FOUND()
        try:
            with files.private().open(upload.file) as stored:
                read_dataset(stored, _Wanted(image_key), most_rows=MOST_EXAMPLES)
        except _Found as found:
            normal = images.normalise(found.data)
            return Picture(normal.data, f"image/{normal.extension.replace('jpg', 'jpeg')}")
        raise errors.TUNING_IMAGE_NOT_FOUND()


class _Found(Exception):
    """The image that was looked for: nothing more is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


class _Wanted(_Headers):
    """One image of a data set."""

    def __init__(self, key: str) -> None:
        self.key = key

    def keep(self, key: str, data: bytes) -> None:
        if key == self.key:
            raise _Found(data)


def upload_of(key: Any, who: Who) -> TuningUpload:
    """A data set of the caller's own.

    Raises:
        InvalidInput: it is no id.
        NotFound: there is none, or it is another's.
    """
    from django.core.exceptions import ValidationError

    if not isinstance(key, str) or not key:
        raise wrong("upload", "must be the id of a data set of yours")
    try:
        upload = TuningUpload.objects.filter(who.owns, pk=key).first()
    except (ValidationError, ValueError):
        upload = None
    if upload is None:
        raise errors.TUNING_UPLOAD_NOT_FOUND(field="data.upload")
    return upload


register(Upload())
