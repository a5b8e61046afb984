"""A challenge from its announcement to a disqualification: two people and an admin."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import axe, hub, key_of, picture, quiet, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
ANNOUNCED = "/research/challenges/count-the-shelf/"
STANDINGS = "/leaderboards/challenges/count-the-shelf/"
REASON = "The predictions are those of another team."


def counts(items: list[dict[str, Any]], right: int) -> list[dict[str, Any]]:
    """Answers of which the first `right` are right."""
    return [
        {"id": i["id"], "answer": str(i["reference"]["count"]) if n < right else "99"}
        for n, i in enumerate(items)
    ]


def looked_at(page: Page, name: str) -> None:
    """Nothing scrolls sideways, and axe is content, narrow and wide."""
    page.wait_for_load_state()  # a page without its styles is as wide as it likes
    for width in (320, 390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        if width > 320:
            assert axe(page) == [], (name, width)
            shoot(page, f"{name}-{width}")


@pytest.fixture
def admin(live_stack: LiveStack, chromium: Any) -> Any:
    """An admin."""
    live_stack.manage(
        "shell", "-v0", "-c",
        "from django.contrib.auth import get_user_model; "
        "get_user_model().objects.create_superuser('jury', 'jury@example.org', 'a-passphrase')",
    )  # fmt: skip
    context = chromium.new_context(base_url=live_stack.base_url)
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("[name=username]", "jury")
    page.fill("[name=password]", "a-passphrase")
    page.click("[type=submit]")
    yield page
    context.close()


def test_join_submit_stand_and_be_disqualified(
    live_stack: LiveStack, signed_in: Page, context: BrowserContext, chromium: Any, admin: Page
) -> None:
    # Somebody without an account looks at the announcement all the while.
    visitor = chromium.new_context(base_url=live_stack.base_url, reduced_motion="reduce")
    reader = visitor.new_page()
    complaints = quiet(reader)
    reader.goto(ANNOUNCED)
    expect(reader.get_by_text("Nobody is ranked yet")).to_be_visible()
    expect(reader.get_by_role("link", name="Sign in to join")).to_be_visible()
    looked_at(reader, "challenge-visitor")

    # Join, from the announcement.
    signed_in.goto(ANNOUNCED)
    signed_in.get_by_label("We accept the rules").check()
    signed_in.get_by_role("button", name=re.compile("Join with")).click()
    signed_in.wait_for_url(f"**{STANDINGS}")
    expect(signed_in.get_by_text("takes part")).to_be_visible()

    # Submit, by the form and from a notebook.
    module = hub()
    board = module.Board(live_stack.base_url, "world-counting")
    items = board.items("dev")
    signed_in.get_by_role("link", name="Submit predictions").click()
    signed_in.wait_for_url("**/submit/")
    looked_at(signed_in, "challenge-submit")
    signed_in.get_by_label("Model", exact=True).fill("By hand")
    lines = "".join(json.dumps(line) + "\n" for line in counts(items, 3))
    signed_in.get_by_label("Predictions").set_input_files(
        {"name": "p.jsonl", "mimeType": "application/json", "buffer": lines.encode()}
    )
    signed_in.get_by_role("button", name="Submit", exact=True).click()
    expect(signed_in.locator("[data-state]")).to_have_text("Scored")
    row = reader.locator(".board__model")
    expect(row).to_contain_text("By hand", timeout=15_000)  # the reader has not moved
    board.key = key_of(signed_in)
    scored = board.submit(
        counts(items, len(items) - 1), model_name="From a notebook", challenge="count-the-shelf"
    )
    assert (scored["challenge"], scored["phase"]) == ("count-the-shelf", "practice")
    expect(row).to_contain_text("From a notebook", timeout=15_000)
    assert board.standings("count-the-shelf")["rows"][0]["model"] == "From a notebook"
    signed_in.goto(STANDINGS)
    expect(signed_in.get_by_role("region", name="Your submissions")).to_contain_text("By hand")
    looked_at(signed_in, "challenge-standings")
    picture(signed_in, "challenge")

    # The front page and the hub name who leads.
    for path in ("/", "/research/"):
        reader.goto(path)
        leading = reader.get_by_role("list", name="Leading in Count the shelf")
        expect(leading).to_contain_text("From a notebook")
        shoot(reader, f"challenge-teaser-{len(path)}-1440")
    reader.goto(STANDINGS)

    # Disqualified, with a reason.
    admin.goto("/admin/snippets/leaderboard/participation/")
    admin.locator("table.listing tbody [data-controller~='w-dropdown'] button").first.click()
    admin.get_by_role("link", name="Disqualify").first.click()
    admin.get_by_label("Reason").fill(REASON)
    admin.get_by_role("button", name="Disqualify").click()
    expect(admin.get_by_text("1 participation disqualified")).to_be_visible()

    expect(reader.get_by_text("Disqualified, and not ranked")).to_be_visible()
    assert REASON not in reader.content()
    signed_in.goto(ANNOUNCED)
    expect(signed_in.get_by_text(REASON)).to_be_visible()
    looked_at(signed_in, "challenge-disqualified-team")
    with pytest.raises(module.HubError, match=REASON):
        board.submit(counts(items, 1), model_name="Again", challenge="count-the-shelf")
    assert complaints == []
    visitor.close()
