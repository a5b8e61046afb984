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
    page.get_by_label("Without the models’ names").check()
    page.get_by_label("With maps").check()
    page.get_by_role("button", name="Compare").press("Enter")
    page.wait_for_url(re.compile(r"/compare/[0-9A-Z]{26}/$"))
    expect(page.locator(".cm-column")).to_have_count(3)
    expect(page.locator(".cm-column").first).to_contain_text("ROUGE-L")
    expect(page.get_by_role("heading", name="Model A")).to_be_visible()
    narrow_and_wide(page, "compare-blind")
    tokens = page.locator("[data-attention] [data-tokens]").first
    before = tokens.locator(".is-shown").inner_text()
    slider = page.get_by_label("Token of the answer").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(tokens.locator(".is-shown")).not_to_have_text(before)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r", 2 of \d+"))
    drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v, n) => n % 4 === 3 && v > 150)"
    assert page.locator("[data-attention] canvas").first.evaluate(drawn)
    page.get_by_role("button", name="Model B is better").click()
    expect(page.get_by_text("Kept. These are the models.")).to_be_visible()
    expect(page.locator(".cm-time")).to_have_count(3)
    narrow_and_wide(page, "compare-captions")
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link to this comparison").input_value()
    page.get_by_text("Take away").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    page.goto(link)
    expect(page.locator(".cm-column")).to_have_count(3)
    narrow_and_wide(page, "compare-shared")
    page.goto(f"{link}embed/")
    expect(page.locator(".cm-column")).to_have_count(3)
    page.goto("/playground/compare/votes/")
    expect(page.locator("tbody tr")).not_to_have_count(0)
    narrow_and_wide(page, "compare-votes")


def test_boxes_of_two_models_in_one_picture(page: Page) -> None:
    page.goto("/playground/")
    page.click("#tab-detect")
    page.fill("[name=object]", "stars")
    page.click("[data-run]")
    page.get_by_role("link", name="Compare with other models").click()
    expect(page.get_by_label("What to find or point at")).to_have_value("stars")
    page.get_by_role("checkbox").nth(1).check()
    page.get_by_label("Without the models’ names").uncheck()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".cm-time")).to_have_count(2)
    expect(page.locator(".cm-layer.cm-1 .overlay-box").first).to_be_visible()
    page.get_by_role("checkbox").first.uncheck()
    expect(page.locator(".cm-layer.cm-1 .overlay-box").first).to_be_hidden()
    expect(page.locator(".cm-layer.cm-2 .overlay-box").first).to_be_visible()
    narrow_and_wide(page, "compare-boxes")
    page.get_by_role("link", name="Open the session").click()
    expect(page.get_by_role("link", name="Side by side")).to_have_count(2)


def test_several_images_stand_in_a_table(page: Page) -> None:
    page.goto("/playground/compare/")
    files = [SAMPLE_DIR / f"{name}.webp" for name in ("crosses", "greens", "night")]
    page.get_by_label("Or a file of yours").set_input_files(files)
    page.get_by_role("button", name="Compare").press("Enter")
    page.wait_for_url(re.compile(r"/compare/[0-9A-Z]{26}/grid/$"))
    expect(page.locator(".cm-grid tbody tr")).to_have_count(3)
    expect(page.locator("tfoot td").first).to_contain_text("3 answered")
    expect(page.locator("[data-reload]")).to_have_count(0)
    narrow_and_wide(page, "compare-grid")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    page.locator(".cm-grid__image").first.click()
    expect(page.locator(".cm-column")).to_have_count(2)
