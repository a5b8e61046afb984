"""Files made to cost: what they are told, how long that takes, and what it takes of the web process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from PIL import Image

from inference import image_pool, images, stream
from inference.errors import Busy, DomainError
from inference.image_headers import read_header
from inference.models import Job, StoredImage
from tests import bombs
from tests.images import data_url, encode, plain

ROOT = Path(__file__).parents[2]
HEADERS_ALONE: dict[str, tuple[bytes, str]] = {
    "webp": (bombs.webp(16384, 16384), "too_many_pixels"),
    "gif": (bombs.gif(65535, 65535), "too_many_pixels"),
    "bmp": (bombs.bmp(2**31 - 1, -(2**31)), "too_many_pixels"),
    "tiff": (bombs.tiff(10**6, 10**6), "too_many_pixels"),
    "tiff-tile": (bombs.tiff(64, 64, 2**24), "too_many_pixels"),
    "avif": (bombs.iso(b"avif", 2**32 - 1, 2**32 - 1), "too_many_pixels"),
    "heic": (bombs.iso(b"heic", 10**5, 10**5), "too_many_pixels"),
    "scans": (bombs.jpeg_of_scans(1500), "image_too_costly"),
    "chunks": (bombs.of_chunks(100_000), "image_too_costly"),
}
"""Refused by the web process itself, with no decoder."""
DECODED: dict[str, tuple[bytes, str]] = {
    "webp-40mp": (bombs.webp(6300, 6300), "broken_image"),
    "gif-40mp": (bombs.gif(6300, 6300), "broken_image"),
    "tiff-40mp": (bombs.tiff(6300, 6300), "broken_image"),
    "heic-40mp": (bombs.iso(b"heic", 6300, 6300), "broken_image"),
    "texts": (bombs.text_bombs(), "broken_image"),
    "truncated": (bombs.truncated(plain()), "broken_image"),
    "png-40mp": (bombs.png(6300, 6300), ""),
    "png-40mp-rgba-16": (bombs.png(6300, 6300, depth=16, colour=6), ""),
    "exif": (bombs.with_exif_bomb(), ""),
    "animated": (bombs.animated(), ""),
}
"""Refused, or read, by a process that decodes."""


@pytest.fixture(autouse=True)
def _own_pool() -> Iterator[None]:
    yield
    image_pool._pool.cache_clear()


def told(data: bytes) -> str:
    try:
        images.normalise(data)
    except DomainError as error:
        return error.code
    return ""


@pytest.mark.parametrize("name", HEADERS_ALONE)
def test_a_header_is_judged_before_any_decoder_runs(name: str, monkeypatch) -> None:
    data, code = HEADERS_ALONE[name]
    monkeypatch.setattr(image_pool.Pool, "ask", lambda *_: pytest.fail("decoded"))
    started = time.process_time()
    assert told(data) == code
    assert time.process_time() - started < 0.2


def test_the_web_process_stays_small_and_the_decoders_bounded(tmp_path: Path) -> None:
    """In a process of its own, whose peak the system keeps: Python's own tools do not see what C takes."""
    cases = {**HEADERS_ALONE, **DECODED}
    for name, (data, _) in cases.items():
        (tmp_path / name).write_bytes(data)
    code = f"""
import json, pathlib, resource
import django; django.setup()
from inference import image_pool, images
from inference.errors import DomainError
from tests.images import plain
images.normalise(plain())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = {{}}
for name in {list(cases)!r}:
    data = (pathlib.Path({str(tmp_path)!r}) / name).read_bytes()
    try:
        images.normalise(data)
        found[name] = ""
    except DomainError as error:
        found[name] = error.code
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
pids = image_pool.pool().pids()
peaks = [line for pid in pids for line in open(f"/proc/{{pid}}/status") if line.startswith("VmHWM")]
print(json.dumps([found, grown / 1024, [int(p.split()[1]) / 1024 for p in peaks]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "moondream_site.settings.test"},
    )  # fmt: skip
    found, grown_mb, peaks_mb = json.loads(done.stdout)
    assert found == {name: code for name, (_, code) in cases.items()}
    assert grown_mb < 40, "none of it was decoded here"
    assert len(peaks_mb) == 1
    assert peaks_mb[0] < 1100


def test_a_decoder_that_takes_too_long_is_ended(monkeypatch) -> None:
    slow = bombs.jpeg_of_scans(64, 3000)
    with monkeypatch.context() as patch:
        patch.setattr(images, "_CPU_S", 0.2)
        started = time.monotonic()
        assert told(slow) == "image_too_costly"
        assert time.monotonic() - started < 20
        assert image_pool.pool().pids() == []
    assert told(plain()) == ""  # another takes its place


def test_a_decoder_that_needs_too_much_memory_says_so(settings) -> None:
    settings.INFERENCE_DECODER_MEMORY_MB = 64
    assert told(bombs.png(6000, 6000)) == "image_too_costly"
    assert told(plain()) == ""


def test_few_are_decoded_at_once_and_few_wait(settings) -> None:
    settings.INFERENCE_DECODERS, settings.INFERENCE_DECODERS_WAITING = 1, 2
    data = bombs.png(4000, 4000)

    def one(_: int) -> str:
        try:
            images.normalise(data)
        except Busy as error:
            return f"{error.status} {error.code} {error.retry_after}"
        return ""

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(one, range(12)))
    assert codes.count("") >= 3
    assert set(codes) == {"", "503 images_busy 2"}
    assert len(image_pool.pool().pids()) == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_decoder_holds_no_connection(monkeypatch) -> None:
    """Many may wait for few decoders: their connections are the pages'."""
    seen: list[Any] = []

    class Decoder:
        def ask(self, about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
            seen.append(connection.connection)
            return {"is_new": False, "extension": "png", "width": 8, "height": 8}, b""

    monkeypatch.setattr("inference.images.image_pool.pool", Decoder)
    StoredImage.objects.count()  # as the checks before
    assert connection.connection is not None
    images.normalise(bombs.png(8, 8))
    assert seen == [None]


def test_a_killed_decoder_is_replaced() -> None:
    assert told(plain()) == ""
    (pid,) = image_pool.pool().pids()
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert told(plain(50, 50)) == ""
    assert image_pool.pool().pids() != [pid]


def test_decoders_know_no_secrets() -> None:
    assert told(plain()) == ""
    (pid,) = image_pool.pool().pids()
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"DATABASE_URL" not in environment
    assert b"SECRET" not in environment


@pytest.mark.parametrize("length", range(0, 120, 3))
def test_no_cut_of_a_header_raises_anything_else(length: int) -> None:
    kinds = [
        plain(), encode(Image.new("RGB", (9, 9)), "JPEG"), encode(Image.new("RGB", (9, 9)), "WEBP"),
        encode(Image.new("RGB", (9, 9)), "TIFF"), encode(Image.new("RGB", (9, 9)), "AVIF"),
        bombs.gif(9, 9), bombs.bmp(9, 9), bombs.iso(b"mif1", 9, 9),
    ]  # fmt: skip
    for data in kinds:
        for cut in (data[:length], data[:length] + b"\xff" * 40, data[:length] + bytes(40)):
            try:
                read_header(cut)
            except ValueError:  # NoImage and BadHeader
                continue


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_headers_tell_the_size(kind: str) -> None:
    header = read_header(encode(Image.effect_noise((140, 66), 50).convert("RGB"), kind))
    assert (header.format, header.width, header.height) == (kind, 140, 66)


# Through the doors


def stored() -> tuple[int, int, int, int]:
    """Rows, files and stream keys that there are."""
    folder = Path(django_settings.IMAGE_STORE_DIR)
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []
    keys = list(stream.client().scan_iter(f"{django_settings.REDIS_PREFIX}job:*"))
    return Job.objects.count(), StoredImage.objects.count(), len(files), len(keys)


def json_ask(client: Client, data: bytes, **more: Any) -> Any:
    body = {"image_url": data_url(data), **more}
    return client.post("/v1/caption", json.dumps(body), content_type="application/json")


def chat_ask(client: Client, data: bytes) -> Any:
    parts = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": data_url(data)}},
    ]
    body = {"messages": [{"role": "user", "content": parts}]}
    return client.post("/v1/chat/completions", json.dumps(body), content_type="application/json")


def job_ask(client: Client, data: bytes, **more: Any) -> Any:
    return client.post(
        "/v1/jobs", {"skill": "caption", "image": SimpleUploadedFile("a.png", data), **more}
    )


def form_ask(client: Client, data: bytes) -> Any:
    return client.post(
        "/playground/", {"skill": "caption", "image": SimpleUploadedFile("a.png", data)}
    )


DOORS = [json_ask, chat_ask, job_ask, form_ask]
STATUS = {"too_many_pixels": 413, "image_too_costly": 413, "broken_image": 400}


@pytest.mark.django_db
@pytest.mark.parametrize("ask", DOORS)
@pytest.mark.parametrize("name", ["webp", "scans", "truncated", "webp-40mp"])
def test_a_refused_image_leaves_nothing(starter, settings, tmp_path, ask, name) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    data, code = {**HEADERS_ALONE, **DECODED}[name]
    answer = ask(Client(), data)
    assert answer.status_code == STATUS[code]
    if ask is not form_ask:
        assert answer.json()["error"]["code"] == code
    assert stored() == (0, 0, 0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("ask", DOORS)
def test_what_is_cheap_to_check_comes_before_decoding(
    starter, settings, tmp_path, monkeypatch, ask
) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    monkeypatch.setattr(images, "normalise", lambda _: pytest.fail("decoded"))
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0
    assert ask(Client(), plain()).status_code == 429  # the queue is full
    settings.ANON_RATE = "1/m"
    assert ask(Client(), plain()).status_code == 429  # and the limit used up
    assert stored() == (0, 0, 0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"variant": "nothing"}, 404), ({"skill": "query"}, 400), ({"skill": "other"}, 400),
        ({"settings": '{"temperature": 99}'}, 400), ({"settings": '{"max_tokens": -1}'}, 400),
        ({"settings": "[" * 100_000}, 400), ({"settings": '{"seed": NaN}'}, 400), ({"length": "x"}, 400),
        ({"skill": "query", "question": "q" * 5000}, 400),
    ],
)  # fmt: skip
def test_a_wrong_question_is_told_before_its_image_is_read(
    starter, settings, tmp_path, monkeypatch, more, status
) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    monkeypatch.setattr(images, "normalise", lambda _: pytest.fail("decoded"))
    assert job_ask(Client(), plain(), **more).status_code == status
    assert stored() == (0, 0, 0, 0)


@pytest.mark.django_db
def test_a_repeated_request_is_answered_without_decoding(starter, monkeypatch, settings) -> None:
    headers = {"Idempotency-Key": "k"}

    def ask(data: bytes) -> Any:
        form = {"skill": "caption", "image": SimpleUploadedFile("a.png", data)}
        return Client().post("/v1/jobs", form, headers=headers)

    data = plain()
    first = ask(data).json()["id"]
    settings.INFERENCE_MAX_QUEUE_DEPTH = 0  # a repetition adds nothing to the queue
    with monkeypatch.context() as patch:
        patch.setattr(images, "normalise", lambda _: pytest.fail("decoded"))
        assert ask(data).json()["id"] == first
    assert ask(plain(20, 20)).status_code == 409
    assert StoredImage.objects.count() == 1


@pytest.mark.django_db
def test_a_job_that_cannot_be_queued_leaves_nothing(
    starter, settings, tmp_path, monkeypatch
) -> None:
    from kombu.exceptions import OperationalError

    from inference.tasks import run_job

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("refused")

    settings.IMAGE_STORE_DIR = tmp_path
    data = plain()
    with monkeypatch.context() as patch:
        patch.setattr(run_job, "apply_async", away)
        assert job_ask(Client(), data).status_code == 503
        assert stored() == (0, 0, 0, 0)
    # An image that another job has stays.
    assert job_ask(Client(), data).status_code == 202
    with monkeypatch.context() as patch:
        patch.setattr(run_job, "apply_async", away)
        assert job_ask(Client(), data).status_code == 503
    assert stored()[:3] == (1, 1, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000, '{"a":' * 100_000, '{"image_url": ' + "9" * 5000 + "}", '{"image_url": 1e999}',
        '{"image_url": "data:,", "settings": {"max_tokens": 1' + "0" * 400 + "}}",
        '{"image_url": "data:,", "settings": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        '{"image_url": "data:,", "model": "' + "m" * 100_000 + '"}', '{"image_url": null}', "nul", "",
        '{"image_url": "data:,", "settings": {"temperature": NaN}}', '"\\ud800"', "\ufeff{}",
        '{"image_url": "\\u0000"}', '{"image_url": "data:image/png;base64,\\ud800"}',
        '{"image_url": "data:image/png;base64,é"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "path", ["caption", "query", "detect", "point", "segment", "chat/completions"]
)
def test_odd_json_is_a_4xx(starter, path, body) -> None:
    client = Client(raise_request_exception=False)
    answer = client.post(f"/v1/{path}", body, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["code"]
    assert stored()[:2] == (0, 0)


@pytest.mark.django_db
def test_editors_images_are_judged_by_their_headers(starter, monkeypatch) -> None:
    from wagtail.images import get_image_model
    from wagtail.images.forms import get_image_form

    form = get_image_form(get_image_model())
    with monkeypatch.context() as patch:
        patch.setattr("willow.Image.open", lambda _: pytest.fail("opened"))
        for data in (bombs.webp(16384, 16384), bombs.jpeg_of_scans(1500), b"text"):
            file = SimpleUploadedFile("a.webp", data)
            made = form({"title": "t", "description": "d"}, {"file": file})
            assert not made.is_valid()
            assert "file" in made.errors
        # Its renditions would be made of all pixels, here.
        file = SimpleUploadedFile("a.jpg", encode(Image.new("L", (8064, 6048)), "JPEG"))
    made = form({"title": "t", "description": "d"}, {"file": file})
    assert "pixels" in str(made.errors["file"])
    good = SimpleUploadedFile("a.png", plain())
    made = form({"title": "t", "description": "d"}, {"file": good})
    assert "file" not in made.errors


def test_a_stored_file_that_was_swapped_is_not_opened(settings, tmp_path) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    for name, data in (("a.webp", bombs.webp(16384, 16384)), ("a.tiff", bombs.tiff(9, 9))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="normal form"):
            images.read(name)
