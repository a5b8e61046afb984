"""The unmodified Python client against a running stack."""

import io
import json
import urllib.error

import moondream
import pytest
from PIL import Image

from inference.world.samples import sample_bytes
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return Image.open(io.BytesIO(sample_bytes("night"))).convert("RGB")


@pytest.fixture(scope="module")
def model(live_stack: LiveStack):
    return moondream.vl(endpoint=f"{live_stack.base_url}/v1")


@pytest.mark.parametrize("length", ["short", "normal", "long"])
def test_caption(model, image: Image.Image, length: str) -> None:
    whole = model.caption(image, length=length)["caption"]
    assert "star" in whole
    pieces = list(model.caption(image, length=length, stream=True)["caption"])
    assert len(pieces) > 3
    assert "".join(pieces) == whole


def test_query(model, image: Image.Image) -> None:
    assert model.query(image, "What color is the triangle?")["answer"] == "blue"
    pieces = model.query(image, "What color is the triangle?", stream=True)["answer"]
    assert "".join(pieces) == "blue"


def test_detect_and_point(model, image: Image.Image) -> None:
    boxes = model.detect(image, "stars")["objects"]
    assert boxes
    assert all(0 <= b["x_min"] < b["x_max"] <= 1 for b in boxes)
    points = model.point(image, "stars")["points"]
    assert len(points) == len(boxes)
    assert model.detect(image, "stars", settings={"max_objects": 1})["objects"] == boxes[:1]


def test_a_point_can_be_asked_about(model, image: Image.Image) -> None:
    point = model.point(image, "triangle")["points"][0]
    answer = model.query(image, "What is here?", spatial_refs=[[point["x"], point["y"]]])
    assert "triangle" in answer["answer"]


def test_the_seed_repeats_a_sampled_answer(model, image: Image.Image) -> None:
    settings = {"temperature": 1.5, "seed": 4, "max_tokens": 12}
    first, second = (model.caption(image, settings=settings)["caption"] for _ in range(2))
    assert first == second


def test_an_encoded_image_is_sent_as_it_is(model) -> None:
    from moondream.types import Base64EncodedImage

    encoded = Base64EncodedImage(image_url=data_url(sample_bytes("night"), "image/webp"))
    assert "star" in model.caption(encoded)["caption"]


def test_chat(model) -> None:
    url = data_url(sample_bytes("night"), "image/webp")
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": "What color is the background?"},
        ]},
        {"role": "assistant", "content": "black"},
        {"role": "user", "content": "What color is the triangle?"},
    ]  # fmt: skip
    done = model.chat(messages)
    assert (done["message"]["content"], done["finish_reason"]) == ("blue", "stop")
    assert "".join(model.chat(messages, stream=True)["message"]) == "blue"


def test_a_model_by_name(live_stack: LiveStack, image: Image.Image) -> None:
    endpoint = f"{live_stack.base_url}/v1"
    for name in ("moondream-embedded-nf4", "moondream3-preview"):
        model = moondream.vl(endpoint=endpoint, model=name)
        assert model.query(image, "What color is the background?")["answer"] == "black"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        moondream.vl(endpoint=endpoint, model="nothing").caption(image)


def test_a_slash_at_the_end_of_the_endpoint(live_stack: LiveStack, image: Image.Image) -> None:
    model = moondream.vl(endpoint=f"{live_stack.base_url}/v1/")
    assert model.query(image, "What color is the background?")["answer"] == "black"
    assert "".join(model.caption(image, stream=True)["caption"]) == model.caption(image)["caption"]


def test_what_it_cannot_do_raises(model, image: Image.Image) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        model.segment(image, "star")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        model.query(image, "Why?", reasoning=True)
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        model.query(question="What is the capital of France?")
    # The client shows the status alone; the rest is for who reads the answer.
    assert json.load(caught.value)["error"]["message"].endswith("Add an image.")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        model.point(image, "star", spatial_refs=[[0.5, 0.5]])


def test_a_failure_inside_a_stream_raises(model, image: Image.Image) -> None:
    # Short enough to be taken in, too many tokens for the model: it fails after the 200.
    with pytest.raises(ValueError, match="Failed to parse"):
        list(model.query(image, "é漢 " * 600, stream=True)["answer"])
    with pytest.raises(ValueError, match="Failed to parse"):
        list(model.chat([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": data_url(sample_bytes("night"))}},
            {"type": "text", "text": "é漢 " * 600},
        ]}], stream=True)["message"])  # fmt: skip
