"""What a page says of an answer, and shows of a file that a browser cannot show."""

import io
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from inference import images
from inference.models import Job, StoredImage, Variant
from inference.selectors import EMPTY_ANSWER, answer_text
from pricing import throttling
from tests import bombs, heic
from tests.images import encode, plain

pytestmark = pytest.mark.django_db
PREVIEW = "/playground/preview/"


def _post(client: Client, data: bytes) -> Any:
    return client.post(PREVIEW, {"image": SimpleUploadedFile("a.heic", data)})


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
@pytest.mark.parametrize("skill", ["caption", "query"])
def test_an_empty_answer_is_said_to_be_one(client: Client, starter, skill: str, text: str) -> None:
    result = {"caption" if skill == "caption" else "answer": text}
    assert answer_text(result) == EMPTY_ANSWER
    job = Job.objects.create(
        skill=skill, variant=Variant.objects.all()[0], status=Job.Status.SUCCEEDED, result=result,
        params={"question": "What?"}, timings={}, confidence=0.5,
    )  # fmt: skip
    page = client.get(reverse("playground:job", args=[job.pk])).content.decode()
    assert EMPTY_ANSWER in page
    assert "Nothing found" not in page


def test_no_boxes_is_no_empty_answer(client: Client, starter) -> None:
    assert answer_text({"objects": []}) is None
    assert answer_text({"answer": "0"}) == "0"
    job = Job.objects.create(
        skill="detect", variant=Variant.objects.all()[0], status=Job.Status.SUCCEEDED,
        result={"objects": []}, params={"object": "star"}, timings={}, confidence=0.5,
    )  # fmt: skip
    page = client.get(reverse("playground:job", args=[job.pk])).content.decode()
    assert "Nothing found" in page
    assert EMPTY_ANSWER not in page


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(heic.grid((200, 60, 40), 5, 3), (1280, 768), id="heic"),
        pytest.param(encode(Image.new("I;16B", (40, 30), 65535), "TIFF"), (40, 30), id="tiff"),
        pytest.param(plain(), (64, 48), id="png"),
    ],
)
def test_a_preview_is_a_small_jpeg_of_what_is_stored(
    client: Client, data: bytes, size: Any
) -> None:
    answer = _post(client, data)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert (shown.format, shown.size) == ("JPEG", size)
        picture = np.asarray(shown).astype(int)
    stored = StoredImage.objects.get(pk=answer["Image-Id"])
    whole = np.asarray(images.read(stored.file_name)).astype(int)
    assert np.abs(picture.mean((0, 1)) - whole.mean((0, 1))).max() < 3


def test_a_preview_of_noise_is_of_bearable_size(client: Client) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2048, 2048, 3), dtype=np.uint8)
    assert len(_post(client, encode(Image.fromarray(noise))).content) < 2 * 2**20


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty_image"), (b"text", 415, "unsupported_image"), (bombs.png(9000, 9000), 413, "too_many_pixels"),
        (bombs.truncated(plain()), 400, "broken_image"),
    ],
)  # fmt: skip
def test_what_cannot_be_previewed_is_told_as_when_it_is_asked(client, data, status, code) -> None:
    answer = _post(client, data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["hint"]
    assert not StoredImage.objects.exists()


def test_previews_use_the_allowance_for_work(client: Client, monkeypatch) -> None:
    monkeypatch.setattr(throttling, "hit", lambda *_, **__: 5)
    answer = _post(client, plain())
    assert (answer.status_code, answer["Retry-After"]) == (429, "5")


def test_a_preview_needs_the_pages_token() -> None:
    assert _post(Client(enforce_csrf_checks=True), plain()).status_code == 403
