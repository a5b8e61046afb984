"""The unmodified Python client against a running stack."""

import io
import urllib.error

import moondream
import pytest
from PIL import Image

from inference.world.samples import sample_bytes
from tests.live import LiveStack

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return Image.open(io.BytesIO(sample_bytes("night"))).convert("RGB")


def test_official_python_client(live_stack: LiveStack, image: Image.Image) -> None:
    model = moondream.vl(endpoint=f"{live_stack.base_url}/v1")
    assert "star" in model.caption(image, length="short")["caption"]
    assert model.query(image, "What color is the triangle?")["answer"] == "purple"
    assert model.detect(image, "stars")["objects"]
    assert model.point(image, "blue star")["points"]
    whole = model.caption(image)["caption"]
    assert "".join(model.caption(image, stream=True)["caption"]) == whole
    with pytest.raises(urllib.error.HTTPError, match="400"):
        model.segment(image, "star")


def test_errors_have_the_clients_shape(live_stack: LiveStack) -> None:
    code, body = live_stack.post(
        "/v1/query", {"question": "x", "image_url": "data:image/png;base64,AAAA"}
    )
    assert code == 415
    assert body["error"]["code"] == "unsupported_image"
    code, body = live_stack.post("/v1/caption", {"image_url": "https://example.org/a.png"})
    assert (code, body["error"]["code"]) == (400, "remote_image")


def test_pages_answer(live_stack: LiveStack) -> None:
    import urllib.request

    for path in ("/", "/product/", "/research/", "/pricing/", "/docs/", "/playground/", "/status/"):
        with urllib.request.urlopen(live_stack.base_url + path) as response:
            assert response.read().count(b"<h1") == 1, path
