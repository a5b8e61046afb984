"""A passkey, from being made to signing in with it, by Chromium's own virtual authenticator."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import axe, quiet
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
_USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_user("passkey", "passkey@example.org", "correct horse battery")
"""


def test_a_passkey_signs_in(context: BrowserContext, live_stack: LiveStack) -> None:
    live_stack.manage("shell", "-c", _USER)
    page = context.new_page()
    complaints = quiet(page)
    devices = context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    kind = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": kind})
    site = live_stack.base_url.replace(
        "127.0.0.1", "localhost"
    )  # an address is no party to rely on
    page.goto(f"{site}/account/login/")
    page.get_by_label("Login").fill("passkey@example.org")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign In", exact=True).click()
    page.get_by_role("link", name="Two-step sign-in").click()
    page.goto(f"{site}/account/2fa/webauthn/add/")
    if "reauthenticate" in page.url:
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button").last.click()
    page.get_by_label("Name").fill("This laptop")
    page.get_by_label("Passwordless").check()
    assert axe(page) == []
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(lambda url: "add" not in url)
    page.goto(f"{site}/account/2fa/webauthn/")
    expect(page.get_by_role("rowheader", name="This laptop")).to_be_visible()
    assert axe(page) == []
    page.goto(f"{site}/account/sessions/")
    expect(page.get_by_text("This one")).to_be_visible()
    assert axe(page) == []
    context.clear_cookies()
    page.goto(f"{site}/account/login/")
    page.get_by_role("button", name="passkey").click()
    page.wait_for_url(f"{site}/account/")
    expect(page.get_by_role("heading", name="passkey@example.org")).to_be_visible()
    assert complaints == []
