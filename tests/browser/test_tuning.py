"""The tuning console on a real stack: from the form to a run that is watched, paused, resumed and ended."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import axe, quiet, shoot, visit
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
WIDTHS = (1440, 390, 320)
RINGS = """
window.rung = [];
window.Notification = class extends Notification {
  constructor(title, more) { super(title, more); rung.push(title); }
};
"""
"""Notes the notifications that a page shows."""


@pytest.fixture(scope="module")
def trainer(live_stack: LiveStack) -> Iterator[LiveStack]:
    """The stack with a worker that trains."""
    live_stack.start_trainer(TUNING_SLICE_S="2")
    yield live_stack
    live_stack.end_worker("trainer")


def looked_at(page: Page, name: str) -> None:
    """At each width: nothing is cut off, and axe has no complaint."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px too wide at {width}"
        assert axe(page) == [], f"{name} at {width}"
        shoot(page, f"tuning-{name}-{width}")
    page.set_viewport_size({"width": 1440, "height": 900})


def at(page: Page) -> int:
    return int(page.locator("[data-at]").inner_text())


def lines(page: Page) -> int:
    """Points of the reward's line."""
    path = page.locator("[data-figure=reward] [data-chart] svg path[stroke-width='1.75']").first
    return len(re.findall(r"[LC]", path.get_attribute("d") or "")) if path.count() else 0


def test_a_run_from_the_form_to_its_end(
    trainer: LiveStack, chromium: Browser, signed_in: Page
) -> None:
    page = signed_in
    page.goto("/playground/")
    page.get_by_role("link", name="train a model on it").click()
    expect(page.get_by_role("heading", name="No run yet")).to_be_visible()
    looked_at(page, "empty")
    page.get_by_role("link", name="Start a run").click()
    expect(page.get_by_label("Split", exact=True)).to_be_hidden()
    page.get_by_label("Data", exact=True).select_option("benchmark")
    expect(page.get_by_label("Split", exact=True)).to_be_visible()
    page.get_by_label("Data", exact=True).select_option("world")
    looked_at(page, "form")

    page.get_by_label("Name", exact=True).fill("Counting shapes")
    # The check samples answers and shows what they are worth; nothing is queued.
    page.get_by_label("Steps", exact=True).fill("40")
    page.get_by_label("Questions a step", exact=True).fill("3")
    page.get_by_label("Examples", exact=True).fill("60")
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Checkpoint every", exact=True).fill("5")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("button", name="Start the run")).to_be_visible(timeout=60_000)
    expect(page.locator(".tn-check .tn-group")).to_have_count(3)
    assert page.locator(".tn-check .tn-answers tbody tr").count() == 24
    looked_at(page, "checked")
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile("/playground/tuning/[0-9a-f-]{36}/$"))

    # Steps arrive live; another watcher sees them too.
    expect(page.locator("[data-at]")).to_have_text(re.compile(r"^[3-9]|[1-9]\d"), timeout=90_000)
    expect(page.locator("[data-log]")).to_contain_text("examples")
    watcher = page.context.new_page()
    complaints = quiet(watcher)
    watcher.goto(page.url)
    seen = at(watcher)
    expect(watcher.locator("[data-at]")).not_to_have_text(str(seen), timeout=60_000)
    assert complaints == []
    watcher.close()

    # It rests within seconds, what was drawn is drawn again after a reload, and it goes on.
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=15_000)
    expect(page.locator("[data-state]")).to_have_text("Paused")
    rested = at(page)
    page.reload()
    assert at(page) == rested
    expect(page.locator("[data-figure=reward] [data-chart] svg")).to_be_visible()
    page.wait_for_timeout(500)
    assert lines(page) >= 2
    expect(page.locator("[data-log]")).to_contain_text("Paused")
    expect(page.locator("[data-state]")).to_have_text("Paused")
    page.locator("[data-figure=reward] summary").click()
    assert page.locator("[data-figure=reward] tbody tr").count() == rested

    # From step to step by keyboard; the address names the step.
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name=f"Answers of step {rested - 1}")).to_be_focused()
    assert page.url.endswith(f"?step={rested - 1}")
    page.reload()
    expect(page.get_by_role("heading", name=f"Answers of step {rested - 1}")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name=f"Answers of step {rested}")).to_be_visible()
    picture = page.locator(".tn-picture img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("image => image.naturalWidth") > 100
    looked_at(page, "paused")

    # A stranger finds nothing.
    with visit(chromium, trainer.base_url) as stranger:
        assert stranger.request.get(page.url.split("?")[0]).status == 404

    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-at]")).not_to_have_text(str(rested), timeout=60_000)
    kept = page.get_by_role("region", name="Checkpoints, the newest first").locator("tbody tr")
    expect(kept.first).to_be_visible(timeout=90_000)

    # Cancelled, its checkpoints stay, and the page says so without a reload.
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-part=state]")).to_contain_text("It was cancelled", timeout=15_000)
    page.wait_for_function(
        "document.title.startsWith('Cancelled') || document.title.startsWith('Counting')"
    )
    row = kept.last
    expect(row).to_contain_text(re.compile("KB|MB"))
    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith("-5.zip")
    looked_at(page, "cancelled")
    row.get_by_role("link", name="Try in the playground").click()
    page.wait_for_url(re.compile(r"/playground/\?variant=.*%40"))
    # It is offered beside the rest; what is chosen stays chosen.
    page.goto("/playground/?variant=moondream-embedded-int8")
    variant = page.locator("[data-variant]")
    with page.expect_response("**/playground/tuned/**"):
        variant.focus()
    expect(variant.locator("optgroup option")).not_to_have_count(0)
    expect(variant).to_have_value("moondream-embedded-int8")

    page.goto("/playground/tuning/")
    expect(page.get_by_role("link", name="Counting shapes")).to_be_visible()
    expect(page.locator(".tn-spark")).to_have_count(1)
    looked_at(page, "list")


def test_a_field_that_cannot_be_is_said_beside_it(
    live_stack: LiveStack, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto("/playground/tuning/new/")
    page.get_by_label("Name", exact=True).fill("Counting shapes")
    page.get_by_label("Steps", exact=True).fill("0")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#steps-error")).to_contain_text("greater than or equal to 1")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Counting shapes")
    looked_at(page, "wrong")


def test_from_the_builder_and_to_the_end(trainer: LiveStack, page: Page) -> None:
    """Without an account: a small run with a reward from the builder, to its end."""
    page.context.grant_permissions(["notifications"])
    page.add_init_script(RINGS)
    page.goto("/playground/rewards/")
    page.get_by_role("button", name="Short captions").click()
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Train with this reward").click()
    page.wait_for_url("**/playground/tuning/new/")
    expect(page.get_by_text("one run at a time")).to_be_visible()
    expect(page.get_by_label("Reward", exact=True)).to_have_value("own")
    assert "moondream-reward/1" in page.get_by_label("Reward as JSON", exact=True).input_value()
    page.get_by_label("Steps", exact=True).fill("5")
    page.get_by_label("Questions a step", exact=True).fill("2")
    page.get_by_label("Answers a question", exact=True).fill("4")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("button", name="Start the run").click(timeout=60_000)
    bell = page.get_by_role("button", name="Notify me when it ends")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("It has finished.")).to_be_visible(timeout=120_000)
    expect(page).to_have_title(re.compile("^Finished"))
    expect(page.locator(".tn-measured tbody tr").first).to_contain_text(
        re.compile(r"\d\.\d{3}.*\d\.\d{3}", re.DOTALL)
    )
    expect(page.locator("[data-at]")).to_have_text("5")
    page.wait_for_function("rung.length > 0")
    assert page.evaluate("rung") == ["Finished: Short captions"]
    expect(bell).to_be_hidden()
    looked_at(page, "finished")
