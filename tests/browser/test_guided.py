"""The guided way on a real stack: from an image to a summary, by the keyboard alone, on a desk and on a phone."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import axe, quiet, shoot, visit
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
MOST_TABS = 120


@pytest.fixture(scope="module")
def trainer(live_stack: LiveStack) -> Iterator[LiveStack]:
    """The stack with a worker that trains."""
    live_stack.start_trainer(TUNING_SLICE_S="4")
    yield live_stack
    live_stack.end_worker("trainer")


def tab_to(page: Page, target: Locator) -> None:
    """Go to an element by the keyboard."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached by the keyboard")


def press(page: Page, target: Locator) -> None:
    tab_to(page, target)
    page.keyboard.press("Enter")


def look(page: Page, name: str) -> None:
    """Nothing is cut off, and axe has no complaint."""
    page.wait_for_timeout(350)
    width = page.viewport_size["width"]  # type: ignore[index]
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    shoot(page, f"guided-{name}-{width}")
    assert wide <= 0, f"{name} is {wide} px too wide at {width}"
    assert axe(page) == [], f"{name} at {width}"


@pytest.mark.parametrize("width", [1440, 390])
def test_from_an_image_to_a_summary(
    trainer: LiveStack, chromium: Browser, page: Page, width: int, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/playground/")
    press(page, page.get_by_role("link", name="Guided", exact=True))
    page.wait_for_url("**/playground/guided/")
    look(page, "start")
    tab_to(page, page.locator("[name=sample]:checked"))
    page.keyboard.press("ArrowRight")  # the second scene
    page.keyboard.press("ArrowLeft")
    press(page, page.get_by_role("button", name="Take this image"))

    page.wait_for_url("**/ask/")
    look(page, "ask")
    press(page, page.get_by_role("button", name="Ask", exact=True))
    expect(page.get_by_role("link", name="Next: what is good")).to_be_visible()
    look(page, "asked")
    base = page.locator(".gd-answer__text").inner_text()
    page.reload()
    expect(page.locator(".gd-answer__text")).to_have_text(base)
    press(page, page.get_by_role("link", name="Next: what is good"))

    # A weight is moved, and the ranking follows.
    page.wait_for_url("**/reward/")
    look(page, "reward")
    total = page.locator("[data-own] dd").first
    before = total.inner_text()
    tab_to(page, page.get_by_role("slider", name="Weight of Brevity"))
    page.keyboard.press("ArrowRight")
    expect(total).not_to_have_text(before)
    expect(page.get_by_role("slider", name="Weight of Brevity")).to_be_focused()
    expect(page.get_by_label("Weight", exact=True).nth(1)).to_have_value("0.65")
    press(page, page.get_by_role("button", name="Next: train on it"))

    # The check comes by itself.
    page.wait_for_url("**/train/")
    expect(page.get_by_role("status").get_by_text("The reward tells answers apart")).to_be_visible(
        timeout=90_000
    )
    look(page, "checked")
    expect(page.get_by_text(re.compile("At least|About"))).not_to_have_count(0)
    tab_to(page, page.locator("[name=steps]:checked"))
    while page.locator("[name=steps]:checked").get_attribute("value") != "8":
        page.keyboard.press("ArrowUp")
    press(page, page.get_by_role("button", name="Start training"))

    # It is left and resumed; nothing is lost, and it is told live.
    expect(page.locator("[data-at]")).to_have_text(re.compile("[2-8]"), timeout=120_000)
    expect(page.locator("[data-figure=reward] [data-chart] svg")).to_be_visible()
    look(page, "training")
    page.goto("/")
    page.goto("/playground/")  # guided, as was chosen last
    page.wait_for_url("**/playground/guided/")
    look(page, "resume")
    press(page, page.get_by_role("link", name=re.compile("Guided: night")))
    page.wait_for_url("**/train/")
    expect(page.get_by_role("status").get_by_text("It is trained.")).to_be_visible(timeout=180_000)
    look(page, "trained")
    press(page, page.get_by_role("button", name="Next: compare before and after"))

    page.wait_for_url("**/evaluate/")
    expect(page.get_by_role("link", name="Next: take it away")).to_be_visible(timeout=90_000)
    expect(page.locator(".gd-scene")).to_have_count(4)
    expect(page.get_by_role("region", name="Your image, base and tuned")).to_contain_text("ROUGE-L")
    look(page, "compared")
    press(page, page.get_by_role("link", name="Next: take it away"))

    page.wait_for_url("**/summary/")
    press(page, page.get_by_role("button", name="Make a link"))
    link = page.get_by_label("Link to this summary").input_value()
    look(page, "summary")
    with page.expect_download() as download:
        press(page, page.get_by_role("link", name="Download the adapter"))
    assert download.value.suggested_filename.endswith("-8.zip")
    with page.expect_download() as download:
        press(page, page.get_by_role("link", name="Download a notebook"))
    notebook = json.loads(Path(download.value.path()).read_text())
    assert answers_of(notebook, tmp_path)["moondream-embedded-fp16"] == base
    press(page, page.get_by_role("link", name="Use it in the playground"))
    expect(page.locator("[data-variant]")).to_have_value(re.compile("@8"))

    read_without_javascript(chromium, link, base, width)
    with visit(chromium, trainer.base_url) as stranger:
        other = stranger.new_page()
        complaints = quiet(other)
        other.goto(link)
        look(other, f"shared-of-{width}")
        assert complaints == []


def answers_of(notebook: dict, folder: Path) -> dict[str, str]:
    """Run a notebook's code as one script; what its models answered."""
    code = "\n\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    (folder / "guided.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "guided.py"], cwd=folder, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k not in ("MOONDREAM_API_KEY", "TRAIN_AGAIN")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: dict[str, str] = json.loads(done.stdout)
    assert len(answers) == 2
    return answers


def read_without_javascript(chromium: Browser, link: str, base: str, width: int) -> None:
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_text(base).first).to_be_visible()
    expect(page.locator(".gd-spark svg")).to_be_visible()
    assert page.locator('meta[name="robots"]').get_attribute("content") == "noindex, nofollow"
    context.close()


def test_a_training_is_cancelled_and_another_image_taken(trainer: LiveStack, page: Page) -> None:
    page.goto("/playground/guided/")
    file = {"name": "mine.webp", "mimeType": "image/webp", "buffer": photograph()}
    page.get_by_label("Or an image of yours").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator("[name=sample]:checked")).to_have_count(0)
    page.get_by_role("button", name="Take this image").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("It is a model of drawn scenes.")).to_be_visible()
    look(page, "photograph")
    page.get_by_role("link", name="Take a drawn scene instead").click()
    look(page, "another")
    page.locator("[name=sample][value=greens]").check(force=True)
    page.get_by_role("button", name="Take this image").click()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("link", name="Next: what is good").click()
    page.get_by_label("Weight", exact=True).first.fill("99")
    expect(page.get_by_text("Weight must lie between")).to_be_visible()
    expect(page.get_by_text("Nothing is scored until")).to_be_visible()
    look(page, "wrong-weight")
    page.get_by_role("button", name="Short").first.click()
    page.get_by_role("button", name="Next: train on it").click()
    page.get_by_role("button", name="Start training").click(timeout=90_000)
    expect(page.locator("[data-state]")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").get_by_text(re.compile("It was cancelled"))).to_be_visible(
        timeout=20_000
    )
    look(page, "cancelled")
    page.get_by_role("link", name="Train again").first.click()
    expect(page.get_by_role("status").get_by_text("The reward tells answers apart")).to_be_visible()
    page.goto("/playground/?mode=free")
    expect(page.locator("[data-run]")).to_be_visible()
    page.goto("/playground/")
    expect(page.locator("[data-run]")).to_be_visible()


def photograph() -> bytes:
    from tests.images import plain

    return plain(320, 240)
