"""The playground's panes, its tour, hints, and what empty pages offer."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import axe, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
Run = Callable[[], str]


def look(page: Page, name: str) -> None:
    for width in (390, 320, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        shoot(page, f"workspace-{name}-{width}")
        assert wide <= 0, f"{name} is {wide} px too wide at {width}"
        assert axe(page) == [], f"{name} at {width}"


def pane(page: Page, name: str) -> None:
    page.get_by_role("group", name="Panes").get_by_role("button", name=name, exact=True).click()


def test_panes_are_collapsed_to_a_line_and_remembered(
    playground: Page, run: Run, context: BrowserContext
) -> None:
    answer = run()
    pane(playground, "Image")
    line = playground.locator("[data-pane-line=image]")
    expect(line).to_contain_text("Drawn scene on black")
    expect(playground.locator("[data-drop]")).to_be_hidden()
    pane(playground, "Ask")
    expect(playground.locator("[data-pane-line=ask]")).to_contain_text("Caption: normal")
    pane(playground, "Answer")
    expect(playground.locator("[data-pane-line=answer]")).to_contain_text(answer)
    look(playground, "collapsed")
    address = playground.url
    playground.locator("[data-pane-line=ask]").press("Enter")
    expect(playground.locator("[data-run]")).to_be_visible()
    expect(playground.locator("[data-pane-button=ask]")).to_be_focused()
    playground.goto("/playground/")  # remembered
    expect(playground.locator("[data-run]")).to_be_visible()
    expect(playground.locator("[data-drop]")).to_be_hidden()
    # What is asked now is seen: its pane opens by itself.
    playground.click("[data-run]")
    expect(playground.locator("[data-output]")).to_have_text(answer)
    playground.goto("/playground/?panes=image,ask,answer,reward")  # an address goes before
    expect(playground.locator("[data-drop]")).to_be_visible()
    expect(playground.get_by_role("heading", name="Reward", exact=True)).to_be_visible()
    assert "panes=" not in address or "image" not in address.split("panes=")[1]


def test_one_pane_on_demand_at_a_time_or_all_of_them(playground: Page, run: Run) -> None:
    answer = run()
    pane(playground, "Reward")
    expect(playground.get_by_role("heading", name="Reward", exact=True)).to_be_focused()
    scores = playground.locator("[data-scores]")
    expect(scores).to_contain_text("“Short captions” gives this answer")
    expect(scores).to_contain_text("Brevity")
    before = scores.inner_text()
    playground.get_by_label("What is right", exact=True).fill(answer)
    expect(scores).not_to_have_text(before)
    expect(playground).to_have_url(re.compile("panes=image%2Cask%2Canswer%2Creward"))
    pane(playground, "Training")
    expect(scores).to_be_hidden()
    expect(playground.locator("#pane-training")).to_contain_text(
        re.compile(r"No run yet|, step \d")
    )
    pane(playground, "Advanced layout")
    for name in ("compare", "reward", "training"):
        expect(playground.locator(f"#pane-{name}")).to_be_visible()
    look(playground, "advanced")
    playground.locator("#pane-compare").get_by_role("button", name="Ask them the same").click()
    playground.wait_for_url(re.compile("/playground/compare/[0-9A-Z]{26}/"))
    expect(playground.locator(".cm-column")).to_have_count(2)
    expect(playground.locator("[data-follow]")).to_have_count(0)
    playground.goto("/playground/")  # as it was left
    pane(playground, "Advanced layout")
    expect(playground.locator("#pane-compare")).to_be_hidden()
    expect(playground.locator("[data-run]")).to_be_visible()


def test_the_tour_by_keyboard(playground: Page) -> None:
    offer = playground.locator("[data-tour-offer]")
    start = offer.get_by_role("button", name="Show me")
    start.focus()
    playground.keyboard.press("Enter")
    tour = playground.get_by_role("dialog", name="Tour")
    expect(tour.get_by_role("heading", name="An image")).to_be_focused()
    expect(playground.locator(".pg-toured")).to_have_attribute("data-drop", "")
    look(playground, "tour")
    for name in ("A skill", "Run", "Panes", "Free or guided"):
        tour.get_by_role("button", name="Next").focus()
        playground.keyboard.press("Enter")
        expect(tour.get_by_role("heading", name=name)).to_be_focused()
    tour.get_by_role("button", name="Back").press("Enter")
    expect(tour.get_by_role("heading", name="Panes")).to_be_focused()
    # Nothing holds the focus: the page is there beside it.
    seen = set()
    for _ in range(80):
        playground.keyboard.press("Tab")
        seen.add(playground.evaluate("!!document.activeElement.closest('[data-tour]')"))
    assert seen == {True, False}
    playground.keyboard.press("Escape")
    expect(tour).to_be_hidden()
    expect(playground.locator("[data-tour-again]")).to_be_focused()
    expect(playground.locator(".pg-toured")).to_have_count(0)
    playground.reload()
    expect(playground.locator("[data-run]")).to_be_enabled()
    expect(offer).to_have_count(0)
    playground.locator("[data-tour-again]").press("Enter")
    expect(tour).to_be_visible()
    playground.keyboard.press("Escape")
    expect(playground.locator("[data-tour-again]")).to_be_focused()


def test_the_tour_is_declined_once(playground: Page) -> None:
    playground.get_by_role("button", name="No, thanks").click()
    expect(playground.locator("[data-tour-offer]")).to_have_count(0)
    expect(playground.locator("[data-tour-again]")).to_be_focused()
    playground.goto("/playground/")
    expect(playground.locator("[data-tour-offer]")).to_have_count(0)


@pytest.mark.parametrize(
    ("skill", "answer"),
    [("caption", "cross"), ("query", "MOON"), ("detect", "2 boxes"), ("point", "2 points")],
)
def test_each_skill_has_a_hint_with_an_example_that_works(
    playground: Page, skill: str, answer: str
) -> None:
    playground.click(f"#tab-{skill}")
    hint = playground.locator(f"[data-hint={skill}]")
    expect(hint).to_be_visible()
    hint.get_by_role("button").click()
    expect(playground.locator("[data-moon-label]")).to_have_text("Done")
    expect(playground.locator("[data-output]")).to_contain_text(answer)


def test_empty_pages_are_one_click_from_a_question(playground: Page, live_stack: LiveStack) -> None:
    playground.click("[data-remove]")
    playground.get_by_role("button", name="Take a drawn scene").click()
    expect(playground.locator("[data-preview]")).to_be_visible()
    playground.goto("/playground/sessions/")
    look(playground, "no-session")
    playground.get_by_role("link", name=re.compile("^Detect")).click()
    expect(playground.locator("[name=object]")).to_have_value("stars")
    expect(playground.locator("[name=sample]:checked")).to_have_value("night")
