"""The reward builder by hand: from the front page to a reward that is taken away and brought back."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import answer_instead, axe, picture, quiet, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
URL = "/playground/rewards/"


def first(page: Page) -> str:
    return page.locator("[data-said]").first.inner_text()


def kinds(page: Page) -> list[str]:
    return page.locator("[data-term] h3").all_inner_texts()


def settled(page: Page) -> None:
    """The server has drawn what was changed last."""
    page.wait_for_timeout(500)
    expect(page.locator("[data-part=results]")).not_to_have_attribute("aria-busy", "true")


def test_from_the_front_page_to_a_reward_and_back(page: Page, tmp_path: Path) -> None:
    page.goto("/")
    stage = page.locator(".stage", has_text="Prefer")
    tip = stage.get_by_text("Click to configure")
    expect(tip).to_be_hidden()
    stage.locator("summary").hover()
    expect(tip).to_be_visible()
    page.mouse.move(0, 0)
    stage.locator("summary").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(tip).to_be_visible()
    page.keyboard.press("Enter")
    expect(stage).to_have_attribute("open", "")
    assert page.locator(".stage[open]").count() == 1
    expect(stage.get_by_role("link", name="PDF")).to_have_attribute(
        "href", re.compile("arxiv.org/pdf")
    )
    calls = page.get_by_role("link", name="Configure reward")
    expect(calls).to_have_count(1)
    calls.click()
    expect(page).to_have_url(re.compile("/playground/rewards/$"))

    # A preset, a slider by keyboard: the order follows at once and the totals with it.
    page.get_by_role("button", name="Short captions").click()
    expect(page.get_by_role("button", name="Short captions")).to_be_focused()
    settled(page)
    before, total = first(page), page.locator("[data-total]").first.inner_text()
    slider = page.get_by_role("slider", name="Weight of Brevity")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("[name=t1-weight]").input_value() == "-2"
    after = first(page)
    assert after != before
    assert len(after.split()) > len(before.split())
    expect(page.locator("[data-live]")).to_contain_text(after[:40])
    settled(page)
    assert first(page) == after  # the server says the same
    expect(slider).to_be_focused()

    # Back and forth.
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[name=t1-weight]")).to_have_value("0.6")
    expect(page.locator("[data-total]").first).to_have_text(total)
    page.get_by_role("button", name="Redo").click()
    expect(page.locator("[name=t1-weight]")).to_have_value("-2")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("Control+z")
    expect(page.locator("[name=t1-weight]")).to_have_value("0.6")

    # Terms are added, moved and removed, and the focus stays where one works.
    page.get_by_label("One more term").select_option("length")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[name=t3-weight]")).to_be_focused()
    page.get_by_role("button", name="Move Length up").click()
    expect(page.locator("#rb-up-2")).to_be_focused()
    assert kinds(page) == ["CIDEr-D", "Brevity", "Length", "Repetition"]
    for _ in range(2):
        page.locator("button:focus").press("Enter")
        settled(page)
    assert kinds(page) == ["Length", "CIDEr-D", "Brevity", "Repetition"]
    expect(page.locator("#rb-down-0")).to_be_focused()
    page.get_by_role("button", name="Remove Repetition").click()
    expect(page.get_by_role("heading", name="Terms")).to_be_focused()

    # A wrong field is marked while it is typed in, and loses nothing.
    page.locator("[name=t0-p-most]").fill("2")
    expect(page.locator("[data-problem=t0-p-most]")).to_contain_text("must not be below least")
    expect(page.locator("[name=t0-p-most]")).to_be_focused()
    expect(page.get_by_text("Nothing you wrote is lost.")).to_be_visible()
    page.locator("[name=t0-p-most]").fill("12")
    expect(page.locator("[data-problem=t0-p-most]")).to_be_empty()

    # Out as a file, in again: the same.
    page.get_by_label("Name", exact=True).fill("Mine & yours")
    settled(page)
    page.locator("[data-keep=take] summary").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download JSON").click()
    assert saved.value.suggested_filename == "mine-yours.json"
    file = tmp_path / saved.value.suggested_filename
    saved.value.save_as(file)
    document = json.loads(file.read_text())
    assert [t["type"] for t in document["terms"]] == ["length", "cider", "brevity"]
    page.locator("[data-copies=python]").click()
    expect(page.locator("[data-copies=python]")).to_have_text("Copied")
    python = page.evaluate("navigator.clipboard.readText()")
    assert "from inference.engine.rewards import Reward" in python
    order = page.locator("[data-said]").all_inner_texts()
    for sent in ("file", "python"):
        page.get_by_role("button", name="Reset").click()
        settled(page)
        assert kinds(page) == ["CIDEr-D", "Brevity", "Repetition"]
        page.get_by_text("Import", exact=True).first.click()
        if sent == "file":
            page.get_by_label("Or a file").set_input_files(file)
        else:
            page.get_by_label("A reward as JSON").fill(python)
        page.locator("#rb-do-import").click()
        settled(page)
        assert kinds(page) == ["Length", "CIDEr-D", "Brevity"]
        expect(page.get_by_label("Name", exact=True)).to_have_value("Mine & yours")
        assert page.locator("[data-said]").all_inner_texts() == order
    assert json.loads(page.locator("[data-code-json]").inner_text()) == document


def test_a_link_brings_all_of_it_to_somebody_else(page: Page, context: BrowserContext) -> None:
    page.goto(URL)
    page.get_by_label("Answers of").select_option("scenes-query")
    expect(page.get_by_text("How many stars are there?").first).to_be_visible()
    page.get_by_role("button", name="Count right").click()
    settled(page)  # the form is replaced, with what was typed before
    page.get_by_label("One more answer").fill("There are 2 stars, I think.")
    page.get_by_label("One more answer").press("Tab")
    page.get_by_role("button", name="Add answer").click()
    expect(page.locator("[data-said]", has_text="I think")).to_be_visible()
    page.locator("[data-keep=items] > summary").click()
    page.locator("#ref-moon").fill("SUN")
    settled(page)
    page.locator("[data-keep=take] summary").click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("[data-link]")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "#r=" in link
    other = context.new_page()
    console = quiet(other)
    other.goto(link)
    expect(other.locator("#ref-moon")).to_have_value("SUN")
    expect(other.get_by_label("Answer (", exact=False)).to_have_count(0)
    expect(other.locator("#own0-text")).to_have_value("There are 2 stars, I think.")
    assert kinds(other) == ["Count", "Exact answer", "Length"]
    assert (
        other.locator("[data-total]").all_inner_texts()
        == page.locator("[data-total]").all_inner_texts()
    )
    other.reload()
    expect(other.locator("#ref-moon")).to_have_value("SUN")
    other.goto("about:blank")
    other.goto(f"{URL}#r=broken")
    expect(other.get_by_role("alert")).to_contain_text("cannot be read")
    assert kinds(other) == ["CIDEr-D", "Brevity", "Repetition"]
    assert console == []


def test_the_model_is_asked_and_its_answers_are_ranked(page: Page) -> None:
    page.goto(URL)
    page.get_by_label("Answers of").select_option("world-counting")
    settled(page)
    page.get_by_role("button", name="Count right").click()
    settled(page)
    asks = page.locator("[data-ask]").first
    if not asks.is_visible():  # closed where runs have answered already
        page.locator("[data-keep=items] > summary").click()
    asks.click()
    expect(page.locator("[data-said]").first).to_be_visible()
    expect(page.locator("[data-ask]").first).to_be_enabled()
    expect(page.locator("[data-ask]").first).to_have_text("Ask the model")
    expect(page.locator(".rb-answer", has_text="the model").first).to_be_visible()
    assert re.fullmatch(r"-?\d\.\d{3}", page.locator("[data-total]").first.inner_text())


def test_an_empty_answer_is_told_and_not_scored(page: Page) -> None:
    page.goto(URL)
    page.get_by_label("Answers of").select_option("world-counting")
    settled(page)
    asks = page.locator("[data-ask]").first
    if not asks.is_visible():
        page.locator("[data-keep=items] > summary").click()
    answer_instead(page, {"answer": ""})
    asks.click()
    expect(page.locator("[data-told-text]")).to_have_text("The model gave 3 empty answers.")
    assert page.locator("[data-own] > li").filter(has_text="the model").count() == 0
    shoot(page, "rewards-empty")


def test_a_server_that_is_away_is_told(page: Page, context: BrowserContext) -> None:
    other = context.new_page()  # its console speaks of the lost connection
    other.goto(URL)
    context.set_offline(True)
    other.locator("[name=t0-weight]").fill("1.5")
    expect(other.get_by_role("alert")).to_contain_text("What you wrote is kept")
    context.set_offline(False)
    other.locator("[name=t0-weight]").fill("1.75")
    expect(other.locator("[data-told]")).to_be_hidden()
    other.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_it_fits_and_is_accessible(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(URL)
    expect(page.get_by_role("slider").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width in (390, 1440):
        assert axe(page) == []
    shoot(page, f"rewards-{width}")
    if width == 1440:
        picture(page, "rewards")
    page.get_by_role("button", name="Boxes overlap").click()
    settled(page)
    page.get_by_label("Answers of").select_option("scenes-detect")
    settled(page)
    page.locator("[name=t1-p-threshold]").fill("7")
    expect(page.locator("[data-problem=t1-p-threshold]")).to_contain_text("must lie between")
    page.get_by_text("Import", exact=True).first.click()
    if width in (390, 1440):
        assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shoot(page, f"rewards-wrong-{width}")


def test_it_scores_without_javascript(chromium: Browser, live_stack: LiveStack) -> None:

    plain = chromium.new_context(base_url=live_stack.base_url, java_script_enabled=False)
    page = plain.new_page()
    page.goto(URL)
    assert page.get_by_role("slider").count() == 0
    page.locator("[name=t1-weight]").fill("-2")
    page.get_by_role("button", name="Score").click()
    assert page.locator("[name=t1-weight]").input_value() == "-2"
    assert len(first(page).split()) > 20
    plain.close()
