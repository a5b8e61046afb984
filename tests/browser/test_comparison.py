"""Comparing models, as a visitor does it."""

import re

import pytest
from playwright.sync_api import Page, expect

from inference.world.samples import SAMPLE_DIR
from tests.browser.test_sessions import narrow_and_wide

pytestmark = [pytest.mark.live, pytest.mark.browser]


def test_a_caption_by_three_models(page: Page) -> None:
    page.goto("/playground/")
    page.get_by_role("link", name="compare models").click()
    narrow_and_wide(page, "compare-form")
    page.get_by_label("Or a file of yours").set_input_files(SAMPLE_DIR / "crosses.webp")
    expect(page.get_by_label("Question", exact=True)).to_be_hidden()
    page.get_by_label("Reference (optional)").fill("Two red crosses and a purple star.")
    # Other tests may have published tuned models: of all there are, three.
    for number, box in enumerate(page.get_by_role("checkbox").all()):
        box.set_checked(number < 3)
    page.get_by_role("button", name="Compare").press("Enter")
    page.wait_for_url(re.compile(r"/compare/[0-9A-Z]{26}/$"))
    expect(page.locator(".cm-column")).to_have_count(3)
    expect(page.locator(".cm-time")).to_have_count(3)
    expect(page.locator(".cm-column").first).to_contain_text("ROUGE-L")
    narrow_and_wide(page, "compare-captions")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_boxes_of_two_models_in_one_picture(page: Page) -> None:
    page.goto("/playground/")
    page.click("#tab-detect")
    page.fill("[name=object]", "stars")
    page.click("[data-run]")
    page.get_by_role("link", name="Compare with other models").click()
    expect(page.get_by_label("What to find or point at")).to_have_value("stars")
    page.get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".cm-time")).to_have_count(2)
    expect(page.locator(".cm-layer.cm-1 .overlay-box").first).to_be_visible()
    page.get_by_role("checkbox").first.uncheck()
    expect(page.locator(".cm-layer.cm-1 .overlay-box").first).to_be_hidden()
    expect(page.locator(".cm-layer.cm-2 .overlay-box").first).to_be_visible()
    narrow_and_wide(page, "compare-boxes")
    page.get_by_role("link", name="Open the session").click()
    expect(page.get_by_role("link", name="Side by side")).to_have_count(2)
