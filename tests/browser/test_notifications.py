"""From making a webhook to reading in its log what a real receiver answered; and subscribing by mail."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from standardwebhooks import Webhook

from tests.browser.conftest import axe, quiet, shoot, visit
from tests.live import LiveStack, free_port
from tests.receivers import answers, in_turn, read, served

pytestmark = [pytest.mark.live, pytest.mark.browser]


@pytest.fixture
def notifier(live_stack: LiveStack) -> Iterator[None]:
    live_stack.start_notifier()
    yield
    live_stack.end_worker("notifier")


def look(page: Page, name: str) -> None:
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        shoot(page, f"notifications-{name}-{width}")
        assert wide <= 0, f"{name} is {wide} px too wide at {width}"
        assert axe(page) == [], f"{name} at {width}"


def reload_until(page: Page, text: str) -> None:
    """The log is read anew until it says something."""
    until = time.monotonic() + 30
    cell = page.get_by_role("cell", name=text)
    while not cell.count() and time.monotonic() < until:
        page.wait_for_timeout(300)
        page.reload()
    expect(cell.first).to_be_visible()


def test_a_webhook_from_the_form_to_the_log(context: BrowserContext, notifier: None) -> None:
    page = context.new_page()
    complaints = quiet(page)
    page.goto("/account/signup/")
    page.get_by_label("Email").fill("hooks@example.org")
    page.get_by_label("Password", exact=True).fill("orange tractor 9")
    page.get_by_label("Password (again)").fill("orange tractor 9")
    page.get_by_role("button", name="Sign Up").click()
    page.wait_for_url("**/account/")
    page.get_by_role("link", name="Webhooks and mail").click()
    expect(page.get_by_role("heading", name="Nothing is sent yet")).to_be_visible()
    look(page, "empty")
    page.get_by_role("link", name="New subscription").click()
    page.get_by_label("Name").fill("Lab bot")
    page.get_by_label("Address").fill("http://10.0.0.1/hook")
    page.get_by_label("A paper is published").check()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("Begin with https://")
    expect(page.get_by_label("Address")).to_have_value("http://10.0.0.1/hook")
    expect(page.get_by_label("A paper is published")).to_be_checked()
    look(page, "refused")
    with served(in_turn(answers(500, b"not yet"), answers(200, b"thanks"))) as (url, got):
        page.get_by_label("Address").fill(url)
        page.get_by_label("A fine-tune of yours has ended").check()
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_role("heading", name="Lab bot", level=1)).to_be_visible()
        page.get_by_text("Show the secret").click()
        secret = page.locator("[data-code] code").first.inner_text()
        for text in ("Failed: It answers with 500.", "Delivered"):
            page.get_by_role("button", name="Send a test").click()
            reload_until(page, text)
        headers, body = read(got[1])
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.test"  # type: ignore[index]
        look(page, "detail")
        page.get_by_role("link", name=re.compile("Details of A test")).first.click()
        expect(page.get_by_text("thanks")).to_be_visible()
        expect(page.get_by_text(headers["webhook-id"]).first).to_be_visible()
        look(page, "delivery")
        page.get_by_role("button", name="Redeliver").click()
        expect(page.get_by_text("It repeats")).to_be_visible()
        until = time.monotonic() + 20
        while len(got) < 3 and time.monotonic() < until:
            page.wait_for_timeout(200)
    ids = [read(request)[0]["webhook-id"] for request in got[:3]]
    assert len(set(ids)) == 3
    page.goto("/account/webhooks/")
    expect(page.get_by_role("row", name=re.compile("Lab bot"))).to_contain_text("Active")
    look(page, "list")
    page.get_by_role("link", name="Lab bot").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete Lab bot").click()
    expect(page.get_by_role("heading", name="Nothing is sent yet")).to_be_visible()
    # Chromium's own remark about the form that was refused.
    assert [line for line in complaints if "422" not in line] == []


def test_subscribing_by_mail_and_leaving(
    live_stack: LiveStack, chromium: Browser, tmp_path: Path
) -> None:
    """On a site that sends mail: into a folder."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    live_stack._spawn(
        "mailing", "-m", "uvicorn", "moondream_site.asgi:application", "--port", str(port),
        "--no-proxy-headers", "--log-level", "warning", EMAIL_URL=f"filemail:///{tmp_path}", SITE_URL=base,
    )  # fmt: skip
    try:
        with visit(chromium, base) as context:
            page = context.new_page()
            complaints = quiet(page)
            _wait_for(page)
            page.goto("/subscriptions/")
            expect(page.get_by_role("heading", name="Subscribe", level=1)).to_be_visible()
            look(page, "subscribe")
            page.get_by_label("Mail address").fill("reader@example.org")
            page.get_by_label("A release is published").check()
            page.get_by_label("How often").select_option("weekly")
            page.get_by_role("button", name="Subscribe").click()
            expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
            look(page, "asked")
            page.goto(_link(tmp_path, "/confirm/"))
            look(page, "confirm")
            page.get_by_role("button", name="Confirm").click()
            expect(page.get_by_role("heading", name="Confirmed")).to_be_visible()
            look(page, "confirmed")
            page.get_by_role("link", name="Choose otherwise").click()
            expect(page.get_by_label("How often")).to_have_value("weekly")
            page.get_by_label("A paper is published").check()
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("Saved.")).to_be_visible()
            look(page, "manage")
            page.get_by_role("button", name="Unsubscribe").click()
            expect(page.get_by_role("heading", name="Unsubscribed")).to_be_visible()
            look(page, "unsubscribed")
            assert complaints == []
    finally:
        live_stack.end_worker("mailing")


def _wait_for(page: Page) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if page.request.get("/healthz").ok:
                return
        except Exception:  # nobody listens yet
            time.sleep(0.2)
    pytest.fail("the web server that sends mail did not start")


def _link(folder: Path, part: str) -> str:
    mails = "".join(file.read_text() for file in folder.glob("*.log"))
    found = re.findall(rf"https?://\S*{part}\S*", mails.replace("=\n", ""))
    assert found, mails
    return str(found[-1])
