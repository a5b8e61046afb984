"""The model in the visitor's own browser answers as the server does, and tells nobody."""

import json

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tokenizers import Tokenizer

from inference.world.samples import SAMPLE_DIR, SAMPLES
from tests.browser.conftest import axe

pytestmark = [pytest.mark.live, pytest.mark.browser, pytest.mark.timeout(400)]


def _ask(page: Page) -> str:
    page.click("[data-run]")
    expect(page.locator("[data-moon-label]")).to_have_text("Done", timeout=120_000)
    return page.inner_text("[data-output]")


def test_it_answers_as_the_server_does(playground: Page) -> None:
    answers: dict[str, dict[str, str]] = {"browser": {}, "moondream-embedded-fp16": {}}
    for variant, said in answers.items():
        playground.select_option("[data-variant]", variant)
        for sample in SAMPLES:
            playground.check(f"[name=sample][value={sample.slug}]", force=True)
            for skill in ("caption", "query"):
                playground.click(f"#tab-{skill}")
                said[f"{sample.slug} {skill}"] = _ask(playground)
    assert answers["browser"] == answers["moondream-embedded-fp16"]
    assert len(set(answers["browser"].values())) > 8


def test_nothing_leaves_the_machine(playground: Page) -> None:
    playground.select_option("[data-variant]", "browser")
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
    assert _ask(playground)
    assert "reused" in playground.inner_text("[data-timing-list]")
    assert axe(playground) == []


def test_what_it_cannot_do_is_said(playground: Page) -> None:
    playground.select_option("[data-variant]", "browser")
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    playground.click("[data-run]")
    expect(playground.locator("[data-error]")).to_contain_text("captions and answers only")


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
