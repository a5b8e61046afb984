"""One's own account: every page at both widths, taking one's data away, deleting the account."""

import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import axe, key_of, shoot, visit
from tests.live import LiveStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.browser]
WIDTHS = (1440, 390)
PASSWORD = "orange tractor 9"
PAGES = (
    "/account/", "/account/keys/", "/account/usage/", "/account/credits/", "/account/email/",
    "/account/password/change/", "/account/2fa/", "/account/2fa/totp/activate/", "/account/2fa/webauthn/",
    "/account/2fa/webauthn/add/", "/account/sessions/", "/account/3rdparty/", "/account/data/", "/account/delete/",
    "/account/logout/",
)  # fmt: skip


def looked_at(page: Page, name: str) -> None:
    """As it is at each width: nothing wider than the screen, nothing that axe finds."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(50)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} at {width} px is {wide} px too wide"
        assert axe(page) == [], f"{name} at {width} px"
        shoot(page, f"{name}-{width}")
    page.set_viewport_size({"width": 1440, "height": 900})


def password_given(page: Page) -> None:
    """Where the password is asked for once more."""
    if "reauthenticate" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()


def test_every_page_of_an_account_at_both_widths(signed_in: Page) -> None:
    page = signed_in
    key_of(page)
    for path in PAGES:
        page.goto(path)
        if "reauthenticate" in page.url:
            looked_at(page, "account-reauthenticate")
            password_given(page)
        looked_at(page, path.strip("/").replace("/", "-"))
    page.goto("/account/")
    page.get_by_role("link", name="Members, roles").click()
    looked_at(page, "account-team")
    page.get_by_role("button", name="Make a link").click()
    looked_at(page, "account-team-link")


def test_the_doors_of_an_account_at_both_widths(page: Page) -> None:
    for path in (
        "/account/login/",
        "/account/signup/",
        "/account/password/reset/",
        "/account/inactive/",
    ):
        page.goto(path)
        looked_at(page, path.strip("/").replace("/", "-"))


def test_a_colleague_joins_for_billing_becomes_an_owner_and_takes_over(
    signed_in: Page, chromium: "Browser", live_stack: LiveStack
) -> None:
    page = signed_in
    page.get_by_role("link", name="Members, roles").click()
    name = page.locator("h1").inner_text()
    page.get_by_label("They join as").select_option("billing")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("[data-code] code").inner_text()
    with visit(chromium, live_stack.base_url) as elsewhere:
        other = elsewhere.new_page()
        other.goto("/account/signup/")
        other.get_by_label("Email").fill("colleague@example.org")
        for label in ("Password", "Password (again)"):
            other.get_by_label(label, exact=True).fill(PASSWORD)
        other.get_by_role("button", name="Sign Up").click()
        other.wait_for_url("**/account/")
        other.goto(link)
        expect(other.get_by_text("You will see what it used")).to_be_visible()
        looked_at(other, "account-join")
        other.get_by_role("button", name="Join").click()
        expect(other.get_by_text("in it for billing")).to_be_visible()
        expect(other.get_by_role("button", name="Rename")).to_have_count(0)
        looked_at(other, "account-team-billing")
        # The owner may not leave before there is another.
        page.reload()
        expect(page.get_by_text("The only owner")).to_be_visible()
        page.goto("/account/delete/")
        expect(page.get_by_text(f"only owner of {name}").first).to_be_visible()
        looked_at(page, "account-delete-obstacle")
        page.get_by_role("link", name="Do it").click()
        page.get_by_text("Role, take out").click()
        looked_at(page, "account-team-two")
        page.get_by_label("Role of colleague@example.org").select_option("owner")
        page.get_by_role("button", name="Change role of colleague").click()
        expect(page.get_by_text("Their role is owner now.")).to_be_visible()
        page.get_by_text("Role, leave").click()
        page.get_by_role("button", name=f"Leave {name}").click()
        expect(page.get_by_text(f"You left {name}.")).to_be_visible()
        other.reload()
        expect(other.get_by_text("You are an owner")).to_be_visible()


def test_ones_data_is_made_by_a_worker_and_taken_away(
    signed_in: Page, live_stack: LiveStack
) -> None:
    page = signed_in
    address = page.locator("h1").inner_text()
    page.get_by_role("link", name="Export my data").click()
    page.get_by_role("button", name="Make an archive").click()
    password_given(page)
    expect(page.get_by_text("Ready.")).to_be_visible(timeout=60_000)  # without a reload
    looked_at(page, "account-data-ready")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the archive").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("account/profile.json"))["email"] == address


def test_an_account_is_deleted_kept_and_deleted_for_good(
    chromium: "Browser", live_stack: LiveStack
) -> None:
    with visit(chromium, live_stack.base_url) as context:
        _deleted(context.new_page(), chromium, live_stack)


def _deleted(page: Page, chromium: "Browser", live_stack: LiveStack) -> None:
    address = "delia@example.org"
    page.goto("/account/signup/")
    page.get_by_label("Email").fill(address)
    for label in ("Password", "Password (again)"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign Up").click()
    page.wait_for_url("**/account/")
    key_of(page)
    with visit(chromium, live_stack.base_url) as elsewhere:
        other = elsewhere.new_page()
        other.goto("/account/login/")
        other.get_by_label("Login").fill(address)
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Sign In", exact=True).click()
        other.wait_for_url("**/account/")

        page.goto("/account/")
        page.get_by_role("link", name="Delete my account").click()
        expect(page.get_by_text("1 API key")).to_be_visible()
        page.get_by_label("Type").fill("somebody@else.org")
        page.get_by_role("button", name="Delete the account").click()
        password_given(page)
        expect(page.get_by_role("alert")).to_contain_text("That is not this account.")
        looked_at(page, "account-delete-refused")
        page.get_by_label("Type").fill(address)
        page.get_by_role("button", name="Delete the account").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This account will be deleted.")
        looked_at(page, "account-delete-pending")
        other.reload()
        expect(other).to_have_url(f"{live_stack.base_url}/account/login/?next=/account/")
    page.goto("/account/keys/")
    expect(page.get_by_text("revoked")).to_be_visible()
    page.goto("/account/")
    looked_at(page, "account-pending")
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("button", name="Keep the account").click()
    expect(page.get_by_text("Your account stays.")).to_be_visible()

    page.goto("/account/delete/")
    page.get_by_label("Type").fill(address)
    page.get_by_role("button", name="Delete the account").click()
    password_given(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("This account will be deleted.")
    live_stack.manage(
        "shell", "-v0", "-c",
        "from django.utils import timezone; from pricing.models import AccountDeletion as D; "
        "from pricing.tasks import personal_care; "
        f"D.objects.filter(user__email='{address}', undone_at=None).update(due_at=timezone.now()); "
        "personal_care.delay()",
    )  # fmt: skip
    # The worker does the rest; who was signed in is nobody.
    for _ in range(60):
        page.goto("/account/")
        if "/account/login/" in page.url:
            break
        page.wait_for_timeout(500)
    told = live_stack.manage(
        "shell", "-v0", "-c",
        "from django.contrib.auth import get_user_model as u; from pricing.models import AccountDeletion as D; "
        f"print(u().objects.filter(email='{address}').count(), D.objects.exclude(erased_at=None).count())",
    )  # fmt: skip
    assert told.split() == ["0", "1"]
    page.goto("/account/login/")
    page.get_by_label("Login").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign In", exact=True).click()
    expect(page.get_by_text("not correct")).to_be_visible()
