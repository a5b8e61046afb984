"""The same image is encoded once: across questions, processes, and jobs that begin again."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference import images, services
from inference.backends import encoded, engine
from inference.backends.base import Finished, Request
from inference.backends.engine import EngineBackend
from inference.engine import EncodedImage
from inference.engine.testing import make_tiny_checkpoint
from inference.models import Job

KEY = "ab" * 32
Answer = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def store(settings, tmp_path: Path) -> Path:
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    engine._stored.settle()
    _forget()
    return settings.IMAGE_STORE_DIR / images.ENCODED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_checkpoint(tmp_path / "tiny")


def _forget() -> None:
    """As a new process: nothing in memory."""
    engine._encoded._held.clear()
    engine._encoded.held_bytes = 0
    engine._stored = encoded.StoredEncodings()


def _ask(folder: Path, key: str = KEY, quantization: str = "", dtype: str = "float32") -> Finished:
    """A question as a new process answers it; everything is written when it comes back."""
    _forget()
    pixels = np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    params = {"question": "What?", "settings": {"max_tokens": 6, "temperature": 0}}
    request = Request("query", params, key, lambda: Image.fromarray(pixels))
    events = list(EngineBackend(str(folder), quantization, dtype).answer(request))
    engine._stored.settle()
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def _files(store: Path) -> list[Path]:
    return [p for p in store.rglob("*") if p.is_file()]


def test_a_new_process_finds_what_another_encoded(folder: Path, store: Path) -> None:
    first, second = _ask(folder), _ask(folder)
    assert not first.timings["encode_cached"]
    assert second.timings["encode_cached"]
    assert second.timings["encode_ms"] == 0
    assert second.result == first.result
    assert len(_files(store)) == 1


def test_other_weights_precisions_and_images_are_encoded_anew(folder: Path, store: Path) -> None:
    _ask(folder)
    assert not _ask(folder, key="cd" * 32).timings["encode_cached"]
    assert not _ask(folder, quantization="int8").timings["encode_cached"]
    assert not _ask(folder, dtype="bfloat16").timings["encode_cached"]
    make_tiny_checkpoint(folder, seed=1)  # the same name and revision
    assert not _ask(folder).timings["encode_cached"]
    assert len(_files(store)) == 5


@pytest.mark.parametrize("fault", ["cut", "empty", "noise", "owner", "shape", "dtype"])
def test_what_cannot_be_used_is_made_anew(folder: Path, store: Path, fault: str) -> None:
    first = _ask(folder)
    (file,) = _files(store)
    data = file.read_bytes()
    known = EncodedImage.load(file)
    if fault == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif fault == "empty":
        file.write_bytes(b"")
    elif fault == "noise":
        file.write_bytes(os.urandom(len(data)))
    else:
        if fault == "owner":
            known.owner = "somebody/else/None/float32"
        elif fault == "shape":
            known.prefix.length -= 1
        else:
            known.prefix.keys, known.prefix.values = (
                known.prefix.keys.half(),
                known.prefix.values.half(),
            )
        known.save(file)
    again = _ask(folder)
    assert not again.timings["encode_cached"]
    assert again.result == first.result
    assert _ask(folder).timings["encode_cached"]


def test_an_encoded_image_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    from inference.engine import Moondream

    model = Moondream.from_pretrained(folder, device="cpu")
    made = model.encode_image(Image.new("RGB", (33, 21), "red"))
    made.save(tmp_path / "image.safetensors")
    read = EncodedImage.load(tmp_path / "image.safetensors")
    assert (read.size, read.owner, read.nbytes) == ((33, 21), model.key, made.nbytes)
    assert model.takes(read)
    assert model.query(read, "What?") == model.query(made, "What?")
    with pytest.raises(ValueError, match="no encoded image"):
        EncodedImage.load(folder / "model.safetensors")
    with pytest.raises(OSError, match="absent"):
        EncodedImage.load(tmp_path / "absent")
    with pytest.raises(OSError, match="nowhere"):
        made.save(tmp_path / "nowhere" / "image.safetensors")


def test_the_least_recently_used_make_room(folder: Path, store: Path, monkeypatch) -> None:
    keys = [f"{n:064x}" for n in range(8)]
    _ask(folder, keys[0])
    size = _files(store)[0].stat().st_size
    monkeypatch.setattr(encoded, "_limit", lambda: int(size * 3.5))
    for n, key in enumerate(keys[:3]):
        _ask(folder, key)
        for file in images.encodings(key).iterdir():
            os.utime(file, (time.time() - 100 + n,) * 2)
    _ask(folder, keys[0])  # used again: the second is the oldest now
    for key in keys[3:]:
        _ask(folder, key)
        assert sum(p.stat().st_size for p in _files(store)) <= size * 3.5
        if key == keys[3]:
            assert images.encodings(keys[0]).exists()
            assert not images.encodings(keys[1]).exists()
    assert images.encodings(keys[-1]).exists()
    assert not images.encodings(keys[0]).exists()


def test_what_nobody_asks_for_goes_when_images_do(folder: Path, store: Path, settings) -> None:
    _ask(folder)
    (file,) = _files(store)
    partial = file.with_name("x.partial")
    partial.write_bytes(b"cut short by a crash")
    encoded.trim(10**9)
    assert {file, partial} == set(_files(store))
    long_ago = time.time() - 3600 * settings.INFERENCE_IMAGE_RETENTION_H - 60
    for old in (file, partial):
        os.utime(old, (long_ago, long_ago))
    encoded.trim(10**9)
    assert not _files(store)
    assert not list(store.iterdir())


def test_each_machine_forgets_by_itself(folder: Path, store: Path, settings, monkeypatch) -> None:
    """Without a question: the image may have been purged by another one, in a bucket."""
    from inference.services import housekeeping

    _ask(folder)
    (file,) = _files(store)
    os.utime(file, (time.time() - 3600 * settings.INFERENCE_IMAGE_RETENTION_H - 60,) * 2)
    monkeypatch.setattr(housekeeping, "_forgot_at", 0.0)
    housekeeping.worker_beat("w@here")
    assert not _files(store)
    _ask(folder)
    os.utime(_files(store)[0], (0, 0))
    housekeeping.worker_beat("w@here")  # not at every beat
    assert _files(store)


def test_none_are_kept_where_it_does_not_pay(
    folder: Path, store: Path, settings, monkeypatch
) -> None:
    settings.INFERENCE_ENCODE_DISK_MB = 0
    _ask(folder)
    assert not _ask(folder).timings["encode_cached"]
    settings.INFERENCE_ENCODE_DISK_MB = 1
    # A GPU that encodes in less time than a disk reads.
    monkeypatch.setattr(encoded, "_DISK_BYTES_PER_MS", 1)
    _ask(folder)
    assert not _files(store)


def test_a_folder_that_cannot_be_written_does_not_fail_the_answer(
    folder: Path, store: Path
) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text("in the way")
    assert _ask(folder).result["answer"] is not None


def test_a_job_that_begins_again_encodes_nothing(submit, image, store: Path, monkeypatch) -> None:
    """The worker is lost after the first word; another takes the job over."""
    job = submit("caption", length="long")
    answer = EngineBackend.answer

    def lost(self: EngineBackend, request: Request) -> Any:
        for event in answer(self, request):
            yield event
            if type(event).__name__ == "Token":
                raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(EngineBackend, "answer", lost)
        with pytest.raises(SystemExit):
            services.job_run(job_id=job.id, worker="w")
    engine._stored.settle()
    _forget()
    Job.objects.filter(pk=job.pk).update(status=Job.Status.QUEUED)
    services.job_run(job_id=job.id, worker="x")
    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED
    assert job.timings["encode_cached"] is True
    images.delete(image.file_name)
    assert not _files(store)
