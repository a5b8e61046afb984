"""Encoded images that are kept for the next question: in this process, and on disk for the next one."""

import contextlib
import hashlib
import logging
import os
import time
from collections import OrderedDict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from inference import images
from inference.storage import whole_file

if TYPE_CHECKING:
    from inference.engine import EncodedImage, Moondream

logger = logging.getLogger(__name__)
Key = tuple[str, str]
"""What an encoding depends on: (the model, its precision, device and weights; the image's SHA-256)."""
_DISK_BYTES_PER_MS = 500_000
"""What a disk reads. A GPU that encodes an image in less than reading it takes had better do so."""
_WAITING = 2
"""Encodings that may wait to be written; each is held in memory meanwhile."""
_SLACK = 16
"""Files are counted after each sixteenth of the limit that was written, and brought that far below."""
_ABANDONED_S = 3600


class EncodedImages:
    """The latest encoded images of this process, bounded by bytes; all variants share it."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.held_bytes = limit_bytes, 0
        self._held: OrderedDict[Key, EncodedImage] = OrderedDict()

    def get(self, key: Key) -> "EncodedImage | None":
        """The encoded image under a key, marked as the latest used."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: Key, image: "EncodedImage") -> None:
        """Keep an encoded image; the least recently used make room."""
        if image.nbytes > self.limit_bytes or key in self._held:
            return
        self._held[key] = image
        self.held_bytes += image.nbytes
        while self.held_bytes > self.limit_bytes:
            _, dropped = self._held.popitem(last=False)
            self.held_bytes -= dropped.nbytes


class StoredEncodings:
    """Encoded images on disk, beside the images they were made of, for every process of every worker
    that shares the folder: an image is encoded once, though its job begins again elsewhere.

    They are bounded by bytes (`INFERENCE_ENCODE_DISK_MB`, the least recently used go) and go with
    their image, or when nobody asked for as long as images are kept. They are written in a thread,
    whole or not at all; what cannot be read is as good as absent.
    """

    def __init__(self) -> None:
        self._writer: tuple[int, ThreadPoolExecutor] | None = None
        self._waiting: deque[Future[None]] = deque()
        self._since_counted: int | None = None

    def get(self, key: Key, model: "Moondream") -> "EncodedImage | None":
        """The encoding under a key, if it is there and is this model's."""
        from inference.engine import EncodedImage

        file = _file(key)
        if _limit() == 0 or not file.exists():
            return None
        try:
            found = EncodedImage.load(file, model.device)
        except (OSError, ValueError):
            logger.warning("An encoded image cannot be read and is made anew", exc_info=True)
            file.unlink(missing_ok=True)
            return None
        if not model.takes(found):
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return found

    def put(self, key: Key, image: "EncodedImage") -> None:
        """Write an encoding soon, if reading it will be quicker than making it was."""
        if image.nbytes > min(_limit(), image.encode_ms * _DISK_BYTES_PER_MS):
            return
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= _WAITING):
            self._waiting.popleft().result()
        self._waiting.append(self._thread().submit(self._write, _file(key), image))

    def settle(self) -> None:
        """Wait until everything is written."""
        while self._waiting:
            self._waiting.popleft().result()

    def _thread(self) -> ThreadPoolExecutor:
        # A thread does not live on in a forked process.
        if self._writer is None or self._writer[0] != os.getpid():
            self._writer = os.getpid(), ThreadPoolExecutor(1, "encodings")
            self._waiting.clear()
        return self._writer[1]

    def _write(self, file: Path, image: "EncodedImage") -> None:
        try:
            with whole_file(file) as partial:
                image.save(partial)
            self._count(image.nbytes)
        except OSError:  # a full disk, or an image that is being deleted
            logger.warning("An encoded image could not be kept", exc_info=True)

    def _count(self, written: int) -> None:
        limit = _limit()
        if self._since_counted is not None:
            self._since_counted += written
            if self._since_counted < limit // _SLACK:
                return
        self._since_counted = 0
        trim(limit - limit // _SLACK)


def trim(limit: int) -> None:
    """Delete what nobody asked for as long as images are kept, and the least recently used above a
    number of bytes."""
    root = Path(settings.IMAGE_STORE_DIR) / images.ENCODED
    now, found = time.time(), []
    for file in root.glob("*/*/*"):
        with contextlib.suppress(OSError):
            told = file.stat()
            age = now - told.st_mtime
            kept_s = 3600 * settings.INFERENCE_IMAGE_RETENTION_H
            if age > (kept_s if file.suffix == ".safetensors" else _ABANDONED_S):
                _remove(file)
            else:
                found.append((told.st_mtime, told.st_size, file))
    held = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if held <= limit:
            return
        _remove(file)
        held -= size


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
    for folder in (file.parent, file.parent.parent):
        with contextlib.suppress(OSError):  # others are still in it
            folder.rmdir()


def _limit() -> int:
    limit: int = settings.INFERENCE_ENCODE_DISK_MB
    return limit * 1024 * 1024


def _file(key: Key) -> Path:
    model, sha256 = key
    return images.encodings(sha256) / f"{hashlib.sha256(model.encode()).hexdigest()}.safetensors"
