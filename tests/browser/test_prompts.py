"""Benchmarks' prompts as a visitor uses them: choose, run, compare; propose."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import axe, quiet, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
Run = Callable[[], str]


def item_of(page: Page, slug: str) -> str:
    """The first of a leaderboard's items in the menu."""
    option = page.locator(f"[data-prompt-menu] option[value^='{slug}/']").first
    found = option.get_attribute("value")
    assert found
    return found


def test_an_item_of_the_public_split_is_repeated(playground: Page, run: Run) -> None:
    playground.click("#tab-query")
    playground.fill("[name=question]", "Mine?")
    ref = item_of(playground, "world-counting")
    playground.get_by_label("Prompts from benchmarks").select_option(ref)
    expect(playground.locator("[data-preview]")).to_have_attribute(
        "alt", re.compile(ref.rsplit("/", 1)[1])
    )
    asked = playground.input_value("[name=question]")
    assert asked.startswith("How many")
    assert playground.get_attribute("#tab-query", "aria-selected") == "true"
    expect(playground.locator("[data-prompt-line]")).to_contain_text("of World counting")
    answer = run()
    reference = playground.locator("[data-reference]")
    expect(reference).to_contain_text("Accuracy of this answer: ")
    right = reference.locator(".pg-reference__text").inner_text()
    figure = "100.0" if answer.strip() == right else "0.0"
    expect(reference).to_contain_text(figure)
    expect(playground.locator("[data-live]")).to_contain_text("Reference: ")
    for width in (320, 390, 1440):
        playground.set_viewport_size({"width": width, "height": 900})
        assert playground.evaluate("document.documentElement.scrollWidth") <= width
        assert axe(playground) == [], width
        shoot(playground, f"prompts-panel-{width}")

    # The address keeps where it came from; a reload asks the same.
    assert "from=world-counting" in playground.url
    playground.reload()
    expect(playground.locator("[data-preview]")).to_have_attribute(
        "alt", re.compile(ref.rsplit("/", 1)[1])
    )
    assert playground.input_value("[name=question]") == asked
    run()
    expect(playground.locator("[data-reference]")).to_contain_text(right)

    # Another question is not compared.
    playground.fill("[name=question]", "What color is the background?")
    expect(playground.locator("[data-prompt-changed]")).to_be_visible()
    run()
    expect(playground.locator("[data-reference]")).to_be_hidden()
    assert "from=" not in playground.url


def test_boxes_of_the_reference_are_drawn(playground: Page, run: Run) -> None:
    ref = item_of(playground, "world-detection")
    playground.goto(f"/playground/?prompt={ref}")
    expect(playground.locator("#tab-detect")).to_have_attribute("aria-selected", "true")
    expect(playground.locator("[data-preview]")).to_have_attribute(
        "alt", re.compile(ref.rsplit("/", 1)[1])
    )
    run()
    expect(playground.locator("[data-reference]")).to_contain_text("drawn dashed")
    assert playground.locator(".pg-reference-boxes rect.pg-mark").count() >= 1
    shoot(playground, "prompts-boxes-1440")


def test_what_was_there_can_be_restored(playground: Page) -> None:
    playground.click("#tab-point")
    playground.fill("[name=object]", "hearts")
    before = playground.get_attribute("[data-preview]", "alt")
    menu = playground.get_by_label("Prompts from benchmarks")
    menu.focus()
    menu.select_option(item_of(playground, "world-vqa"))
    restore = playground.get_by_role("button", name="Restore what I had")
    restore.focus()
    playground.keyboard.press("Enter")
    expect(playground.locator("#tab-point")).to_have_attribute("aria-selected", "true")
    expect(playground.locator("[name=object]")).to_have_value("hearts")
    expect(playground.locator("[data-preview]")).to_have_attribute("alt", before or "")
    expect(playground.locator("[data-prompt-line]")).to_have_count(0)
    expect(menu).to_be_focused()


def test_a_placeholder_is_replaced_by_typing(playground: Page, run: Run) -> None:
    menu = playground.get_by_label("Prompts from benchmarks")
    menu.select_option(label=_label(playground, "verbatim"))
    expect(playground.locator("[name=question]")).to_have_value(re.compile(r"^\{question\} The"))
    playground.click("[data-run]")
    expect(playground.locator("[data-prompt-error]")).to_contain_text("in the place of {question}")
    playground.fill("[name=question]", "")
    menu.select_option("")
    menu.select_option(label=_label(playground, "verbatim"))
    expect(playground.locator("[name=question]")).to_have_value(re.compile(r"^\{question\} The"))
    expect(playground.locator("[name=question]")).to_be_focused()
    playground.keyboard.type("What does the sign say?")
    expect(playground.locator("[name=question]")).to_have_value(
        re.compile("^What does the sign say\\? The answer should")
    )
    expect(playground.locator("[data-prompt-changed]")).to_be_hidden()
    assert run()
    expect(playground.locator("[data-prompt-line]").get_by_role("link", name=re.compile("docvqa.py"))).to_be_visible()  # fmt: skip


def _label(page: Page, part: str) -> str:
    return page.locator("[data-prompt-menu] option", has_text=part).first.inner_text()


def test_the_dialog_has_them_too(page: Page, run: Run) -> None:
    page.goto("/pricing/")
    page.locator("[data-open-playground]").first.click()
    menu = page.get_by_label("Prompts from benchmarks")
    ref = item_of(page, "world-existence")
    menu.select_option(ref)
    expect(page.locator("[data-preview]")).to_have_attribute("alt", re.compile(ref.rsplit("/", 1)[1]))  # fmt: skip
    run()
    expect(page.locator("[data-reference]")).to_contain_text("World existence")
    assert axe(page) == []


def test_without_javascript(live_stack: LiveStack, chromium) -> None:
    context = chromium.new_context(base_url=live_stack.base_url, java_script_enabled=False)
    page = context.new_page()
    console = quiet(page)
    page.goto("/playground/prompts/?benchmark=world-existence")
    page.locator(".items").get_by_role("link", name=re.compile("^Try")).first.click()
    assert page.input_value("[name=question]")
    expect(page.get_by_label("Ask about its own image")).to_be_checked()
    expect(page.locator("[data-prompt-menu]")).to_be_hidden()
    shoot(page, "prompts-nojs-1280")
    page.click("[data-run]")
    page.wait_for_url("**/jobs/**")
    expect(page.locator(".pg-reference")).to_contain_text("Accuracy of this answer")
    assert console == []
    context.close()


def test_the_list_and_the_form(signed_in: Page) -> None:
    page = signed_in
    for path in ("/playground/prompts/", "/playground/prompts/propose/"):
        for width in (320, 390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert axe(page) == [], (path, width)
            shoot(page, f"{path.strip('/').replace('/', '-')}-{width}")
    page.get_by_label("Benchmark (optional)", exact=True).select_option("TextVQA")
    page.get_by_label("Skill").select_option("query")
    page.get_by_label("Prompt", exact=True).fill("{question} Answer in one word.")
    page.get_by_label("Source", exact=True).fill("A paper")
    page.get_by_label("Address of the source").fill("https://example.org/paper")
    page.get_by_role("button", name="Propose").click()
    expect(page.get_by_role("table")).to_contain_text("Waiting for an editor")
    assert axe(page) == []
    shoot(page, "prompts-proposed-1440")
