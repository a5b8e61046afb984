"""From an account to a leading entry: web pages, a key, the client module, the table that follows."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import axe, hub, key_of, picture, quiet, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]


def answers(items: list[dict[str, Any]], right: int) -> list[dict[str, Any]]:
    """Guesses for a hidden split; with references, the first `right` are theirs."""
    return [
        {"id": i["id"], "answer": i["reference"]["answer"] if n < right and "reference" in i else "yes"}
        for n, i in enumerate(items)
    ]  # fmt: skip


def test_from_sign_up_to_a_leading_entry(
    live_stack: LiveStack, signed_in: Page, context: BrowserContext
) -> None:
    module = hub()
    board = module.Board(live_stack.base_url, "world-existence", key=key_of(signed_in))
    for width in (320, 1440):
        signed_in.set_viewport_size({"width": width, "height": 900})
        assert signed_in.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(signed_in) == []
    dev = board.items("dev")
    assert board.image(dev[0])[:4] == b"RIFF"
    with pytest.raises(module.HubError, match="1 missing id"):
        board.check(answers(dev, 3)[:-1], split="dev")
    scored = board.submit(
        answers(dev, len(dev)), split="dev", model_name="Knows all", parameters="1.9B"
    )
    assert scored["scores"]["accuracy"]["value"] == 100
    # Item by item, on the public split.
    signed_in.goto(f"/leaderboards/entries/{scored['id']}/")
    signed_in.get_by_role("link", name="Item by item").click()
    expect(signed_in.locator(".sample")).to_have_count(min(20, len(dev)))
    assert axe(signed_in) == []
    shoot(signed_in, "leaderboard-items-1440")

    # Somebody looks at the table while an entry lands.
    reader = context.new_page()
    console = quiet(reader)
    reader.goto("/leaderboards/world-existence/")
    test = board.items("test")
    assert "reference" not in test[0]
    landed = board.submit(answers(test, 0), model_name="Always yes", open_weights=True)
    assert landed["status"] == "scored"
    expect(reader.locator(".board__model").filter(has_text="Always yes")).to_be_visible(
        timeout=15_000
    )
    reader.reload()
    expect(reader.locator("[data-charts]")).to_be_visible()
    reader.locator("[data-charts]").scroll_into_view_if_needed()
    expect(reader.locator(".chart svg")).to_be_visible()
    for chart in ("By size", "By latency", "Over time", "Scores"):
        reader.get_by_role("tab", name=chart).click()
        expect(reader.locator(".chart svg")).to_be_visible()
    with reader.expect_download() as saved:
        reader.get_by_role("button", name="Save SVG").click()
    assert saved.value.path().read_text().startswith("<svg")
    with reader.expect_download() as saved:
        reader.get_by_role("button", name="Save PNG").click()
    assert saved.value.path().read_bytes()[:4] == b"\x89PNG"
    for width in (390, 1440):
        reader.set_viewport_size({"width": width, "height": 900})
        assert reader.evaluate("document.documentElement.scrollWidth") <= width
        assert axe(reader) == [], width
        shoot(reader, f"leaderboard-{width}")
    picture(reader, "leaderboard")
    assert console == []

    # Its own page, and off the table again.
    signed_in.goto(landed["url"])
    assert axe(signed_in) == []
    signed_in.get_by_text("Withdraw", exact=True).click()
    signed_in.get_by_role("button", name="Withdraw for good").click()
    expect(signed_in.locator("[data-state]")).to_have_text("Withdrawn")
    reader.goto("/leaderboards/world-existence/")
    expect(reader.locator(".board__model").filter(has_text="Always yes")).to_have_count(0)


def test_the_form_names_bad_lines(signed_in: Page) -> None:
    signed_in.goto("/leaderboards/world-existence/submit/")
    assert axe(signed_in) == []
    signed_in.get_by_label("Model", exact=True).fill("My model")
    signed_in.get_by_label("Predictions").set_input_files(
        {
            "name": "p.jsonl",
            "mimeType": "application/json",
            "buffer": b'{"id": "x", "answer": 1}\nnonsense\n',
        }
    )
    signed_in.get_by_role("button", name="Only check the file").click()
    problems = signed_in.get_by_role("alert").first
    expect(problems).to_contain_text("1 bad line")
    expect(problems).to_contain_text("Line 2")
    expect(problems).to_contain_text("unknown id")
    assert axe(signed_in) == []
    shoot(signed_in, "leaderboard-form-1440")
