"""A plan is bought, changed and invoiced, in a browser, with a double in Stripe's place."""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from pypdf import PdfReader

from tests.browser.conftest import axe, quiet, shoot
from tests.live import LiveStack
from tests.pricing.stripe_double import KEY, SECRET, StripeDouble

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.browser]
_SELL = """
from decimal import Decimal
from wagtail.models import Site
from pricing.models import InvoiceSettings, PlanVersion
PlanVersion.objects.filter(plan__slug="professional").update(monthly_dollars=Decimal(49), stripe_price="price_pro")
InvoiceSettings.objects.create(site=Site.objects.get(), seller_name="A lab", seller_address="A street 1\\nVienna", seller_tax_id="ATU0", note="Reverse charge.")
"""


@pytest.fixture(scope="module")
def double() -> Iterator[StripeDouble]:
    with StripeDouble() as made:
        made.price("pro", 49)
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, double: StripeDouble) -> Iterator[LiveStack]:
    """A stack on which the plan Professional is sold."""
    env = {
        "STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRETS": SECRET, "STRIPE_API_BASE": double.url,
        "STRIPE_PAGES": double.url,
    }  # fmt: skip
    with LiveStack(tmp_path_factory.mktemp("shop"), "_shop", **env) as stack:
        stack.manage("shell", "-v0", "-c", _SELL)
        double.webhook_url = f"{stack.base_url}/stripe/webhook"
        yield stack


@pytest.mark.parametrize("width", [1440, 390])
def test_from_the_prices_to_a_plan_an_invoice_and_its_end(
    shop: LiveStack, double: StripeDouble, chromium: "Browser", width: int
) -> None:
    context = chromium.new_context(
        base_url=shop.base_url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints = quiet(page)

    def looked_at(name: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        shoot(page, f"billing-{name}-{width}")
        assert axe(page) == [], name

    page.goto("/account/signup/?next=/pricing/")
    page.fill("[name=email]", f"payer{width}@example.org")
    page.fill("[name=password1]", "a long pass phrase")
    page.fill("[name=password2]", "a long pass phrase")
    page.locator("main form button").first.click()
    page.wait_for_url("**/pricing/")
    expect(page.get_by_text("Payments run in test mode here: no money is taken.")).to_be_visible()
    shoot(page, f"billing-prices-{width}")
    page.get_by_role("link", name=re.compile("Subscribe.*Professional")).click()
    page.wait_for_url("**/account/billing/**")
    expect(page.get_by_text("None yet: each payment has one.")).to_be_visible()
    looked_at("offers")
    page.get_by_role("button", name=re.compile("Subscribe.*to Professional")).click()
    page.wait_for_url(f"{double.url}/pay/**")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_text("Nothing was charged.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Subscribe.*to Professional")).click()
    page.get_by_role("button", name="Pay and subscribe").click()
    page.wait_for_url("**/account/billing/?checkout=done")
    # The page follows by itself, once the worker has carried the event out.
    expect(page.locator("#plan")).to_contain_text("The next payment is on")
    expect(page.locator("#plan")).to_contain_text("Professional: paid.")
    expect(page.locator("#offers")).to_have_count(0)
    page.goto("/account/usage/")
    expect(page.locator(".meter").first).to_contain_text("1,000,000")
    row = page.get_by_role("row", name="TEST-")
    for _ in range(20):
        page.goto("/account/billing/")
        if row.count():
            break
        page.wait_for_timeout(500)
    expect(row).to_contain_text("$49.00")
    looked_at("paid")
    row.get_by_role("link", name="TEST-").first.click()
    expect(page.get_by_text("Ünïversität 東京")).to_be_visible()
    expect(page.get_by_text("1010 Wien")).to_be_visible()
    looked_at("invoice")
    address = page.get_by_role("link", name="PDF").get_attribute("href")
    assert address is not None
    answer = context.request.get(address)
    assert answer.headers["content-type"] == "application/pdf"
    text = PdfReader(io.BytesIO(answer.body())).pages[0].extract_text()
    for word in ("TEST-", "Ünïversität", "東京", "1010 Wien", "$49.00", "Reverse charge."):
        assert word in text, word
    stranger = chromium.new_context(base_url=shop.base_url)
    assert "/account/login/" in stranger.request.get(address).url
    stranger.close()
    page.goto("/account/billing/")
    page.get_by_role("button", name="Change plan or card, or cancel").click()
    page.wait_for_url(f"{double.url}/portal/**")
    page.get_by_role("button", name="Cancel at once").click()
    page.wait_for_url("**/account/billing/")
    ended = page.locator("#plan").get_by_text("Starter")
    for _ in range(20):
        if ended.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(ended).to_be_visible()
    expect(
        page.get_by_role("button", name=re.compile("Subscribe.*to Professional"))
    ).to_be_visible()
    looked_at("ended")
    page.goto("/account/")
    page.get_by_role("link", name="Billing and invoices").click()
    page.wait_for_url("**/account/billing/")
    assert complaints == []
    context.close()
