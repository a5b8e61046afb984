"""The playground's page and its form without JavaScript."""

from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from inference import services
from inference.engine import Moondream
from inference.models import Job
from inference.world import caption
from inference.world.samples import SAMPLES, sample_bytes
from playground.selectors import HINTS, SHAPES, SUGGESTIONS
from pricing import throttling
from tests.images import plain

pytestmark = pytest.mark.django_db
URL = "/playground/"


@pytest.fixture(autouse=True)
def _store(settings, tmp_path) -> None:
    settings.IMAGE_STORE_DIR = tmp_path


def test_the_page_shows_samples_variants_and_the_models_limits(client: Client, starter) -> None:
    text = client.get(URL).content.decode()
    for sample in SAMPLES:
        assert sample.file_name in text
    assert "moondream-embedded-nf4" in text
    assert starter[0].world.split(".")[0] in unescape(text)


SUGGESTED: dict[str, dict[str, Any]] = {
    "How many shapes are there?": {"night": "5", "moon": "3", "number": "3", "greens": "4", "crosses": "4"},
    "What color is the star?": {"crosses": "purple", "greens": "red", "triangles": "blue"},
    "What does the sign say?": {"moon": "MOON", "number": "72"},
    "Is there a red circle?": dict.fromkeys(SHAPES, "no"),
    "Where is the blue square?": {"triangles": "bottom"},
    "How many gaps are there?": {"shelf": "2"},
    "Does the part pass inspection?": {"plate": "no"},
    "Is there a nodule?": {"phantom": "yes"},
    "stars": {"night": 2, "triangles": 1, "greens": 1, "crosses": 1},
    "blue shapes": {"night": 2, "triangles": 2, "number": 1, "crosses": 1},
    "crosses": {"crosses": 2},
    "sign": {"moon": 1, "number": 1},
    "gaps": {"shelf": 2},
    "scratch": {"plate": 1},
    "nodules": {"phantom": 2},
    "green square": {"greens": 1, "number": 1},
    "hearts": {"number": 2, "night": 1, "moon": 1, "crosses": 1},
    "shapes": {"triangles": 5, "moon": 3, "number": 3, "crosses": 4},
    "missing screw": {"plate": 1},
}  # fmt: skip
"""What is on the samples, as one sees it: the answer, or how many."""


def test_prompts_to_try_are_answered_rightly() -> None:
    model = Moondream.from_pretrained(Path("inference/weights/embedded"))
    encoded = {
        sample.slug: model.encode_image(Image.open(BytesIO(sample_bytes(sample.slug))))
        for sample in SAMPLES
    }
    answers = {
        "query": lambda image, text: model.query(image, text)["answer"],
        "detect": lambda image, text: len(model.detect(image, text)["objects"]),
        "point": lambda image, text: len(model.point(image, text)["points"]),
    }
    for skill, suggestions in SUGGESTIONS.items():
        for suggestion in suggestions:
            found = {
                slug: answers[skill](encoded[slug], suggestion.text) for slug in suggestion.samples
            }
            assert found == SUGGESTED[suggestion.text], suggestion.text


def test_the_page_is_cheap(client: Client, starter, django_assert_max_num_queries) -> None:
    client.get(URL)
    with django_assert_max_num_queries(9):
        client.get(URL)


def test_without_a_model_it_says_so(client: Client) -> None:
    assert "No model variant is installed" in client.get(URL).content.decode()


def test_the_form_answers(client: Client, starter) -> None:
    sent: Any = client.post(
        URL, {"skill": "query", "question": "What color is the background?", "sample": "night"}
    )
    job = Job.objects.get()
    assert sent.url == reverse("playground:job", args=[job.pk])
    waiting = client.get(sent.url)
    assert b'http-equiv="refresh"' in waiting.content
    services.job_run(job_id=job.pk, worker="w")
    done = client.get(sent.url)
    assert b"black" in done.content
    assert b'http-equiv="refresh"' not in done.content


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"skill": "nothing"}, 400, "Choose a skill."),
        ({"skill": "caption", "sample": "x"}, 400, "An image is needed."),
        ({"skill": "caption", "length": "x"}, 400, "Choose a caption length."),
        ({"skill": "query", "question": "", "sample": "night"}, 400, "The question is empty."),
    ],
)
def test_mistakes_come_back_with_what_was_written(client, starter, form, status, message) -> None:
    answer = client.post(URL, {"object": "kept <b>", **form})
    assert answer.status_code == status
    text = answer.content.decode()
    assert message in text
    assert "kept &lt;b&gt;" in text
    assert not Job.objects.exists()


def test_a_file_is_taken_and_a_broken_one_refused(client: Client, starter) -> None:
    good, bad = BytesIO(plain()), BytesIO(b"nonsense")
    good.name = bad.name = "a.png"
    assert client.post(URL, {"skill": "caption", "image": good}).status_code == 302
    assert client.post(URL, {"skill": "caption", "image": bad}).status_code == 415


def test_the_form_is_throttled_as_the_api_is(client: Client, starter, monkeypatch) -> None:
    monkeypatch.setattr(throttling, "hit", lambda *_, **__: 5)
    answer = client.post(URL, {"skill": "caption", "sample": "night"})
    assert answer.status_code == 429
    assert "Try again in 5 s." in answer.content.decode()


def test_no_such_answer(client: Client, starter) -> None:
    url = reverse("playground:job", args=["00000000-0000-0000-0000-000000000000"])
    assert client.get(url).status_code == 404


def test_examples_of_hints_are_answered_rightly() -> None:
    """A hint's example is one of those to try; the caption's is what the scene's own words are."""
    for skill, hint in HINTS.items():
        if skill != "caption":
            assert hint.prompt in {s.text for s in SUGGESTIONS[skill] if hint.sample in s.samples}
    hint = HINTS["caption"]
    sample = next(s for s in SAMPLES if s.slug == hint.sample)
    model = Moondream.from_pretrained(Path("inference/weights/embedded"))
    image = model.encode_image(Image.open(BytesIO(sample_bytes(sample.slug))))
    assert model.caption(image, length=hint.prompt)["caption"] == caption(
        sample.scene(), hint.prompt
    )


def test_an_answer_is_scored_by_a_preset(client: Client) -> None:
    address = "/playground/rewards/score/"
    sent = {"preset": "short-captions", "text": "Two stars.", "reference": "Two stars and a heart."}
    page = unescape(client.post(address, sent).content.decode())
    assert "“Short captions” gives this answer" in page
    assert "CIDEr-D" in page
    assert "—" in unescape(client.post(address, {**sent, "reference": ""}).content.decode())
    assert client.post(address, {**sent, "preset": "none"}).status_code == 404
    assert client.post(address, {"preset": "count-right", "text": "3", "reference": '{"x": 1}'}).status_code == 200  # fmt: skip
    assert client.get(address).status_code == 405


def test_the_tour_is_offered_until_it_was_seen(client: Client, starter) -> None:
    assert "data-tour-offer" in client.get(URL).content.decode()
    client.cookies["playground_tour"] = "seen"
    assert "data-tour-offer" not in client.get(URL).content.decode()
