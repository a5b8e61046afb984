"""Sessions and links, as a visitor and those they send a link to use them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from inference.world.samples import SAMPLE_DIR
from tests.browser.conftest import axe, quiet, shoot, visit
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
Run = Callable[[], str]
SAVED = re.compile(r"[?&]session=[0-9A-Z]{26}")


def ask(page: Page, run: Run, skill: str, field: str, prompt: str) -> str:
    page.click(f"#tab-{skill}")
    page.fill(f"[name={field}]", prompt)
    return run()


def narrow_and_wide(page: Page, name: str) -> None:
    """A page is whole, and axe finds nothing, on a phone and on a desk."""
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        shoot(page, f"{name}-{width}")
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_was_asked_is_there_after_leaving(playground: Page, run: Run) -> None:
    playground.set_input_files("[data-file]", SAMPLE_DIR / "greens.webp")
    first = ask(playground, run, "query", "question", "How many shapes are there?")
    ask(playground, run, "detect", "object", "star")
    expect(playground.locator("[data-saved]")).to_have_text("Saved in this session.")
    expect(playground).to_have_url(SAVED)
    address = playground.url
    playground.reload()  # the same page again
    entries = playground.locator("[data-history-list] button")
    expect(entries).to_have_count(2)
    expect(playground.locator("[data-output]")).to_contain_text("“star”")
    entries.nth(1).click()
    expect(playground.locator("[data-output]")).to_have_text(first)
    playground.goto("/")  # away, and back by the browser's button
    playground.go_back()
    expect(entries).to_have_count(2)
    playground.goto(address)  # a bookmark
    expect(entries).to_have_count(2)
    expect(playground.locator("[data-overlay] rect.pg-mark").first).to_be_visible()
    playground.locator("[data-preview]").evaluate("image => image.decode()")
    again = ask(playground, run, "query", "question", "How many shapes are there?")
    assert again == first, "the saved image is asked about"
    expect(playground.locator("[data-history-list] button")).to_have_count(3)


def test_an_answer_on_its_way_is_followed_by_who_comes_back(playground: Page, live_stack: LiveStack) -> None:  # fmt: skip
    live_stack.kill_worker()
    try:
        playground.click("[data-run]")
        expect(playground.locator("[data-saved]")).to_have_text("Saved in this session.")
        expect(playground).to_have_url(SAVED)
        playground.reload()
        expect(playground.locator("[data-cancel]")).to_be_visible()
    finally:
        live_stack.bring_back_worker()
    expect(playground.locator("[data-moon-label]")).to_have_text("Done")
    expect(playground.locator("[data-history-list] button")).to_have_count(1)


def test_the_list_and_a_session(playground: Page, run: Run) -> None:
    ask(playground, run, "detect", "object", "stars")
    ask(playground, run, "point", "object", "circle")
    expect(playground.locator("[data-saved]")).to_have_text("Saved in this session.")
    playground.click("[data-history-clear]")  # a new session
    ask(playground, run, "query", "question", "What color is the star?")
    expect(playground.locator("[data-saved]")).to_have_text("Saved in this session.")
    playground.goto("/playground/sessions/")
    cards = playground.locator(".ss-card")
    expect(cards).to_have_count(2)
    narrow_and_wide(playground, "sessions")
    playground.get_by_label("Search your sessions").fill("circle")
    playground.get_by_role("button", name="Search").click()
    expect(cards).to_have_count(1)
    cards.get_by_role("link").click()
    playground.get_by_text("Share", exact=True).first.click()
    playground.get_by_role("button", name="Make a link").first.click()
    expect(playground.get_by_label("Link to this run")).to_have_value(
        re.compile("/playground/shared/")
    )
    narrow_and_wide(playground, "session")
    playground.get_by_text("Rename", exact=True).click()
    playground.get_by_label("Name").fill("Stars and circles")
    playground.get_by_role("button", name="Save").click()
    expect(playground.get_by_role("heading", level=1)).to_have_text("Stars and circles")
    playground.get_by_role("button", name="Fork").click()
    expect(playground.get_by_role("heading", level=1)).to_have_text("Stars and circles (copy)")
    playground.get_by_role("link", name="Go on here").click()
    expect(playground.locator("[data-history-list] button")).to_have_count(2)
    playground.get_by_role("link", name="Open the session").click()
    playground.get_by_text("Delete", exact=True).first.click()
    playground.get_by_role("button", name="Delete for good").first.click()
    expect(playground).to_have_url(re.compile("/playground/sessions/$"))
    expect(cards).to_have_count(2)


def test_a_link_from_the_panel_to_a_stranger(
    playground: Page, run: Run, chromium: Browser, live_stack: LiveStack
) -> None:
    playground.set_input_files("[data-file]", SAMPLE_DIR / "greens.webp")
    answer = ask(playground, run, "query", "question", "How many shapes are there?")
    playground.locator("summary", has_text="Share this run").focus()
    playground.keyboard.press("Enter")
    playground.get_by_role("button", name="Make a link").click()
    link = playground.locator("[data-share-link]")
    expect(link).to_be_focused()
    expect(link).to_have_value(re.compile("/playground/shared/"))
    narrow_and_wide(playground, "shared-from-panel")
    address = link.input_value()
    with visit(chromium, live_stack.base_url) as context:
        page = context.new_page()
        complaints = quiet(page)
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_have_text("How many shapes are there?")
        expect(page.locator(".run__answer")).to_have_text(answer)
        narrow_and_wide(page, "shared")
        page.get_by_role("link", name="Try it yourself").click()
        expect(page.locator("[name=question]")).to_have_value("How many shapes are there?")
        expect(page.locator("[data-preview]")).to_have_attribute("alt", re.compile("greens.webp"))
        page.click("[data-run]")
        expect(page.locator("[data-output]")).to_have_text(answer)
        assert complaints == []
        page.goto(f"{address}embed/")
        expect(page.locator(".run__answer")).to_have_text(answer)
        narrow_and_wide(page, "embedded")


def test_a_link_is_read_without_javascript(playground: Page, run: Run, chromium: Browser) -> None:
    ask(playground, run, "detect", "object", "stars")
    playground.locator("summary", has_text="Share this run").click()
    playground.get_by_role("button", name="Make a link").click()
    link = playground.locator("[data-share-link]")
    expect(link).to_have_value(re.compile("/playground/shared/"))
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(link.input_value())
    assert page.locator("rect.overlay-box").count() > 0
    expect(page.locator(".run__answer")).to_contain_text("for “stars”")
    context.close()


def test_a_link_given_before_the_answer_streams_it(
    playground: Page, chromium: Browser, live_stack: LiveStack
) -> None:
    live_stack.kill_worker()
    try:
        playground.click("[data-run]")
        playground.locator("summary", has_text="Share this run").click()
        playground.get_by_role("button", name="Make a link").click()
        link = playground.locator("[data-share-link]")
        expect(link).to_have_value(re.compile("/playground/shared/"))
        with visit(chromium, live_stack.base_url) as context:
            page = context.new_page()
            page.goto(link.input_value())
            expect(page.locator("[data-answer]")).to_have_text("Waiting for a worker.")
            live_stack.bring_back_worker()
            expect(page.locator(".run__facts")).to_contain_text("Total")
            expect(page.locator(".run__answer")).to_contain_text("star")
    finally:
        live_stack.restore_worker()


def test_a_session_of_anothers(chromium: Browser, live_stack: LiveStack) -> None:
    with visit(chromium, live_stack.base_url) as context:
        page = context.new_page()
        page.goto("/playground/?session=01ARZ3NDEKTSV4RRFFQ69G5FAV")
        expect(page.locator("[data-error-message]")).to_have_text("That session is not here.")
        expect(page.locator("[data-run]")).to_be_enabled()
