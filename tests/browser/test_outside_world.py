"""A photograph is told from what the embedded model knows, wherever its answer is shown."""

import base64
from pathlib import Path

import pytest
import wagtail
from playwright.sync_api import Page, expect

from inference.world.samples import SAMPLE_DIR
from tests.browser.test_sessions import narrow_and_wide

pytestmark = [pytest.mark.live, pytest.mark.browser]
PHOTOGRAPH = Path(wagtail.__path__[0]) / "images/tests/image_files/landscape_1.jpg"
WORDS = "unlike the drawn scenes"


def test_a_photograph_and_a_drawn_scene(page: Page) -> None:
    page.goto("/playground/")
    page.set_input_files("[data-file]", PHOTOGRAPH)
    page.click("[data-run]")
    note = page.locator("[data-outside]")
    expect(note).to_be_visible()
    expect(note).to_contain_text(WORDS)
    expect(page.locator("[data-live]")).to_contain_text("it is a guess")
    narrow_and_wide(page, "outside-world")
    page.get_by_text("Share this run").click()
    page.click("[data-share-make]")
    expect(page.locator("[data-share-link]")).not_to_have_value("")
    link = page.input_value("[data-share-link]")
    page.set_input_files("[data-file]", SAMPLE_DIR / "crosses.webp")
    page.click("[data-run]")
    expect(page.locator("[data-history-list] li")).to_have_count(2)
    expect(note).to_be_hidden()
    # What was shown again says it again.
    page.locator("[data-history-list] button").last.click()
    expect(note).to_be_visible()
    page.goto(link)
    expect(page.get_by_text(WORDS)).to_be_visible()
    narrow_and_wide(page, "outside-world-shared")


def test_the_api_says_it(page: Page) -> None:
    for path, kind, outside in (
        (PHOTOGRAPH, "jpeg", True),
        (SAMPLE_DIR / "crosses.webp", "webp", False),
    ):
        url = f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        body = {"image_url": url, "question": "What is this?"}
        for _ in range(2):  # also where the encoding was kept
            answer = page.request.post("/v1/query", data=body)
            assert answer.json()["outside_world"] is outside
    assert (
        page.request.post("/v1/caption", data={"image_url": url}).json()["outside_world"] is False
    )
