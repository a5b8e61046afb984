"""The model in the visitor's own browser answers as the server does, and tells nobody."""

import json
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from tokenizers import Tokenizer

from inference.world.samples import SAMPLE_DIR, SAMPLES, Sample
from tests.browser.conftest import axe, quiet, shoot, visit
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser, pytest.mark.timeout(600)]


def _ask(page: Page) -> str:
    page.click("[data-run]")
    expect(page.locator("[data-moon-label]")).to_have_text("Done", timeout=240_000)
    return page.inner_text("[data-output]")


def _answers(page: Page, variant: str, samples: Sequence[Sample], *skills: str) -> dict[str, str]:
    """What a variant says of samples."""
    page.select_option("[data-variant]", variant)
    said = {}
    for sample in samples:
        page.check(f"[name=sample][value={sample.slug}]", force=True)
        for skill in skills:
            page.click(f"#tab-{skill}")
            said[f"{sample.slug} {skill}"] = _ask(page)
    return said


def test_it_answers_as_the_server_does(playground: Page) -> None:
    mine, servers = (
        _answers(playground, variant, SAMPLES, "caption", "query")
        for variant in ("browser", "moondream-embedded-fp16")
    )
    assert mine == servers
    assert len(set(mine.values())) > 8


@pytest.fixture
def software_gpu(chromium_webgpu: Browser, live_stack: LiveStack) -> Iterator[Page]:
    """A page where WebGPU is drawn by the processor."""
    with visit(chromium_webgpu, live_stack.base_url) as context:
        page = context.new_page()
        complaints = quiet(page)
        yield page
        assert complaints == []


_AS_HARDWARE = """
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
"""
_FAULTS = {
    # An adapter that gives no device.
    "at loading": "GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error('no device'));",
    # A driver that is reset once the answer has begun.
    "in the middle": """
        const request = GPUAdapter.prototype.requestDevice;
        let device;
        GPUAdapter.prototype.requestDevice = async function (...args) {
            device = await request.apply(this, args);
            return device;
        };
        const post = self.postMessage.bind(self);
        self.postMessage = (message) => {
            post(message);
            if (message.type === "token") device.destroy();
        };
    """,
}


def _open_with_gpu(page: Page, fault: str = "") -> None:
    """The playground, told that the adapter is hardware, as it is with most visitors."""

    def changed(route: Route) -> None:
        whole = route.fetch()
        route.fulfill(response=whole, body=f"{_AS_HARDWARE}{fault}\n{whole.text()}")

    page.route("**/browser-model/worker.js", changed)
    page.add_init_script(_AS_HARDWARE)
    page.goto("/playground/")
    page.select_option("[data-variant]", "browser")
    expect(page.locator("[data-variant-help]")).to_contain_text("by WebGPU: up to 33 MB")


def test_webgpu_answers_as_the_server_does(software_gpu: Page) -> None:
    _open_with_gpu(software_gpu)
    loaded: list[str] = []
    software_gpu.on("request", lambda request: loaded.append(request.url))
    some = SAMPLES[:3]
    mine = _answers(software_gpu, "browser", some, "query")
    assert json.loads(software_gpu.text_content("[data-json]") or "")["backend"] == "WebGPU"
    assert "WebGPU" in software_gpu.inner_text("[data-timing-list]")
    assert any(url.endswith(".jspi.wasm") for url in loaded)
    assert not any(url.endswith("threaded.wasm") for url in loaded), "only the runtime it uses"
    shoot(software_gpu, "browser-webgpu")
    assert mine == _answers(software_gpu, "moondream-embedded-fp16", some, "query")


@pytest.mark.parametrize("moment", _FAULTS)
def test_a_gpu_that_fails_is_left_for_the_processor(software_gpu: Page, moment: str) -> None:
    page = software_gpu
    _open_with_gpu(page, _FAULTS[moment])
    answer = _ask(page)
    assert "WebGPU failed" in (page.text_content("[data-log]") or "")
    assert json.loads(page.text_content("[data-json]") or "")["backend"] == "WebAssembly"
    expect(page.locator("[data-variant-help]")).to_contain_text("by WebAssembly: up to 30 MB")
    again = _ask(page)
    assert "WebGPU failed" not in (page.text_content("[data-log]") or ""), "it is not tried again"
    page.select_option("[data-variant]", "moondream-embedded-fp16")
    assert answer == again == _ask(page)


def test_a_gpu_drawn_by_the_processor_is_not_used(software_gpu: Page) -> None:
    software_gpu.goto("/playground/")
    software_gpu.select_option("[data-variant]", "browser")
    expect(software_gpu.locator("[data-variant-help]")).to_contain_text("by WebAssembly")
    _ask(software_gpu)
    assert json.loads(software_gpu.text_content("[data-json]") or "")["backend"] == "WebAssembly"


def test_nothing_leaves_the_machine(playground: Page) -> None:
    playground.select_option("[data-variant]", "browser")
    expect(playground.locator("[data-variant-help]")).to_contain_text("by WebAssembly: up to 30 MB")
    expect(playground.locator("[data-variant-help]")).to_contain_text("neither the image")
    _ask(playground)
    sent: list[str] = []
    # The address changes with the form, at which Chromium fetches the page's icon again.
    playground.on("request", lambda r: sent.append(r.url) if "favicon" not in r.url else None)
    playground.set_input_files("[data-file]", SAMPLE_DIR / "moon.webp")
    playground.click("#tab-query")
    playground.fill("[name=question]", "What does the sign say?")
    assert _ask(playground) == "MOON"
    assert [url for url in sent if not url.startswith(("blob:", "data:"))] == []


def test_timings_confidence_and_log_are_there(playground: Page) -> None:
    playground.select_option("[data-variant]", "browser")
    _ask(playground)
    assert "ms" in playground.inner_text("[data-timing-list]")
    result = json.loads(playground.text_content("[data-json]") or "")
    assert result["variant"] == "browser"
    assert 0 < result["confidence"] <= 1
    playground.click("summary:has-text('Log')")
    expect(playground.locator("[data-log]")).to_contain_text("encoder: 9.2 MB")
    expect(playground.locator("[data-log]")).to_contain_text("WebAssembly")
    assert "Load" in playground.inner_text("[data-timing-list]")
    assert _ask(playground)
    assert "reused" in playground.inner_text("[data-timing-list]")
    assert axe(playground) == []


def test_what_it_cannot_do_the_server_is_asked(playground: Page) -> None:
    variant = playground.locator("[data-variant]")
    variant.select_option("browser")
    playground.click("#tab-detect")
    expect(variant).not_to_have_value("browser")
    expect(playground.locator("[data-variant-help]")).to_contain_text("captions and answers only")
    playground.click("#tab-query")
    expect(variant).to_have_value("browser")
    # Chosen for boxes all the same, it says what it cannot do.
    playground.click("#tab-detect")
    variant.select_option("browser")
    playground.fill("[name=object]", "stars")
    playground.click("[data-run]")
    expect(playground.locator("[data-error]")).to_contain_text("captions and answers only")


def test_loading_shows_its_bytes_and_is_cancelled_at_once(playground: Page) -> None:
    held: list[Route] = []
    playground.route("**/decoder*.onnx", lambda route: held.append(route))
    playground.select_option("[data-variant]", "browser")
    playground.click("[data-run]")
    label = playground.locator("[data-moon-label]")
    expect(label).to_have_text(re.compile(r"Loading the model · [1-9]\d*\.\d of 30 MB"))
    playground.keyboard.press("Escape")
    expect(label).to_have_text("Cancelled", timeout=1000)
    expect(playground.locator("[data-run]")).to_be_enabled()
    playground.unroute("**/decoder*.onnx")
    assert "star" in _ask(playground)


def test_try_in_browser_runs_in_the_browser(page: Page) -> None:
    page.goto("/")
    page.click("header [data-open-playground]")
    expect(page.locator("dialog [data-variant]")).to_have_value("browser")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    assert "star" in _ask(page)
    assert not [url for url in sent if "/v1/" in url]


@pytest.mark.parametrize(
    "size", [(640, 480), (97, 211), (81, 85), (80, 80), (80, 90), (33, 40), (33, 81)]
)
def test_images_are_reduced_as_pillow_does(playground: Page, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((80, 80), Image.Resampling.LANCZOS))
    mine = playground.evaluate(
        """async ([data, width, height]) => {
            const { resize } = await import('/static/js/browser-model/resample.js');
            return Array.from(resize({ data: new Uint8Array(data), width, height }, 80, 80).data);
        }""",
        [pixels.ravel().tolist(), *size],
    )
    assert np.array_equal(np.array(mine, dtype=np.uint8).reshape(80, 80, 3), expected)


def test_its_tokenizer_is_the_servers(playground: Page) -> None:
    file = SAMPLE_DIR.parents[1] / "weights" / "browser" / "tokenizer.json"
    texts = [
        "What color is the star?", "how many  shapes\nare there", "12 stars, 7", "naïve 漢字 🙂 it's",
        "What's here?", "", " ", 'A sign that reads "42".', "ﬁ Ⅷ ½ ٣",
    ]  # fmt: skip
    tokenizer = Tokenizer.from_file(str(file))
    expected = [tokenizer.encode(text).ids for text in texts]
    got = playground.evaluate(
        """async (texts) => {
            const { Tokenizer } = await import('/static/js/browser-model/tokenizer.js');
            const file = await (await fetch('/static/models/tokenizer.json')).json();
            const tokenizer = new Tokenizer(file);
            return texts.map((text) => [tokenizer.encode(text), tokenizer.decode(tokenizer.encode(text))]);
        }""",
        texts,
    )
    assert [ids for ids, _ in got] == expected
    assert [text for _, text in got] == texts
