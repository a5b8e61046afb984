"""Prices, keys, usage and credits, as people go through them."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from pricing import costs
from pricing.costs import Rates
from tests.browser.conftest import axe, quiet, shoot
from tests.live import LiveStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.browser]
WIDTHS = (1440, 390)
_MEASURE = (
    "from inference.models import Variant, VariantMeasurement; "
    "[VariantMeasurement.objects.create(variant=v, revision='t', hardware='test', device='cpu', threads=1,"
    " dtype='bfloat16', weight_bytes=1, peak_bytes=1, load_ms=1, encode_ms=10, first_token_ms=10,"
    " tokens_per_s=240, scores={}) for v in Variant.objects.all()]"
)


@pytest.fixture(scope="module")
def measured(live_stack: LiveStack) -> None:
    live_stack.manage("shell", "-v0", "-c", _MEASURE)


@pytest.fixture
def person(live_stack: LiveStack, chromium: "Browser") -> "Iterator[Callable[[str], Page]]":
    """Somebody who makes an account."""
    contexts = []

    def sign_up(name: str) -> Page:
        context = chromium.new_context(base_url=live_stack.base_url, reduced_motion="reduce", viewport={"width": 1440, "height": 900})  # fmt: skip
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        quiet(page)
        page.goto("/account/signup/")
        page.fill("[name=email]", f"{name}@example.org")
        page.fill("[name=password1]", "a long pass phrase")
        page.fill("[name=password2]", "a long pass phrase")
        page.locator("main form button").first.click()
        page.wait_for_url("**/account/**")
        return page

    yield sign_up
    for context in contexts:
        context.close()


def key_of(page: Page, *scopes: str) -> str:
    """A key, made on the page."""
    page.goto("/account/keys/")
    page.fill("[name=name]", "first notebook")
    for value in ("infer", "submit", "finetune", "read"):
        page.locator(f"[name=scopes][value={value}]").set_checked(value in scopes)
    page.get_by_role("button", name="Make a key").click()
    return page.locator("[data-code] code").inner_text().strip()


def ask(stack: LiveStack, secret: str) -> tuple[int, dict[str, Any]]:
    from tests.images import data_url, plain

    body = json.dumps({"image_url": data_url(plain()), "length": "short"}).encode()
    request = urllib.request.Request(
        f"{stack.base_url}/v1/caption", body,
        {"Content-Type": "application/json", "X-Moondream-Auth": secret},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def looked_at(page: Page, address: str, name: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
        shoot(page, f"pricing-{name}-{width}")
        assert axe(page) == [], (address, width)
    page.set_viewport_size({"width": 1440, "height": 900})


def test_the_page_of_prices_and_the_calculator_by_keyboard(measured: None, page: Page) -> None:
    looked_at(page, "/pricing/", "prices")
    page.goto("/pricing/")
    table = page.locator(".plans__table")
    expect(table.locator("thead th")).to_have_count(5)
    images, total = page.locator("#calc-images"), page.locator("[data-sum]")
    images.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2500000")
    page.keyboard.press("Tab")  # the slider
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(images).to_have_value("2,500,000")
    rates = Rates(0.02 + 24 / 240, 0.08925)
    expect(total).to_have_text(costs.money(costs.month_price(2_500_000, rates, 30)))
    expect(page.locator("[data-how]")).to_contain_text("with Professional")
    assert "images=2500000" in page.url
    page.select_option("#calc-skill", "point")
    page.select_option("#calc-plan", "starter")
    kept = page.url
    text = page.locator("[data-how]").inner_text()
    page.goto("about:blank")
    page.goto(kept)
    expect(page.locator("[data-how]")).to_have_text(text)
    expect(images).to_have_value("2,500,000")
    assert "10,000" in text
    page.fill("#calc-images", "500")
    page.locator("#calc-skill").focus()
    expect(total).to_have_text("$0.00")
    expect(page.locator("[data-benchmark-sentence]")).to_contain_text(
        re.compile(r"Running .* \([\d,]+ images\) would cost \$[\d.]+: [\d.]+¢ an image")
    )


def test_from_an_account_to_a_key_to_a_call_that_the_usage_page_shows(
    live_stack: LiveStack, person: Callable[[str], Page]
) -> None:
    import moondream as md
    from PIL import Image

    page = person("uma")
    secret = key_of(page, "infer", "read")
    model = md.vl(endpoint=f"{live_stack.base_url}/v1", api_key=secret)
    assert model.caption(Image.new("RGB", (64, 64), "red"))["caption"]
    looked_at(page, "/account/usage/", "usage")
    expect(page.get_by_role("row", name=re.compile("first notebook"))).to_contain_text("1")
    expect(page.locator(".meter").first).to_contain_text("9,999 left")
    looked_at(page, "/account/keys/", "keys")


def test_a_quota_that_is_used_up_says_so_and_is_raised(
    live_stack: LiveStack, person: Callable[[str], Page]
) -> None:
    page = person("quentin")
    secret = key_of(page, "infer")
    assert ask(live_stack, secret)[0] == 200
    spend = (
        "from pricing.models import *; a = Allotment.objects.filter(account__user__email='quentin@example.org', "
        "meter='images'); a.update(granted=1)"
    )
    live_stack.manage("shell", "-v0", "-c", spend)
    status, told = ask(live_stack, secret)
    assert status == 402
    assert "1 of 1 images are used" in told["error"]["message"]
    assert "/account/usage/" in told["error"]["message"]
    page.goto("/account/usage/")
    expect(page.locator(".meter").first).to_contain_text("0 left")
    raised = (
        "from django.contrib.auth import get_user_model; from pricing.models import Plan; from pricing import services; "
        "services.plan_set(user=get_user_model().objects.get(email='quentin@example.org'), "
        "plan=Plan.objects.get(slug='professional'))"
    )
    live_stack.manage("shell", "-v0", "-c", raised)
    assert ask(live_stack, secret)[0] == 200


def test_credits_are_applied_for_granted_and_used(
    live_stack: LiveStack, person: Callable[[str], Page], chromium: "Browser"
) -> None:
    page = person("rhea")
    looked_at(page, "/account/credits/", "credits")
    page.get_by_role("button", name="Begin an application").click()
    for name in ("is_affiliated", "is_noncommercial", "will_publish"):
        page.check(f"[name={name}]")
    shoot(page, "pricing-credits-step-1440")
    assert axe(page) == []
    page.get_by_role("button", name="Save and go on").click()
    page.fill("[name=full_name]", "Rhea")
    page.fill("[name=institution]", "A university")
    page.fill("[name=role]", "Doctoral student")
    page.fill("[name=orcid]", "0000-0002-1825-0098")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".field__error")).to_contain_text("no ORCID")
    page.fill("[name=orcid]", "0000-0002-1825-0097")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator("h1")).to_have_text("The work")
    for name in ("title", "aim", "method", "dataset", "outputs"):
        page.fill(f"[name={name}]", f"The {name} of it")
    page.get_by_role("button", name="Save and go on").click()
    page.fill("[name=images]", "50")
    page.fill("[name=needed_until]", (date.today() + timedelta(days=200)).isoformat())  # noqa: DTZ011
    page.get_by_role("button", name="Save and go on").click()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        shoot(page, f"pricing-credits-review-{width}")
        assert axe(page) == []
    page.get_by_role("button", name="Send it in").click()
    expect(page.get_by_text("1 of 1")).to_be_visible()
    mine = page.url
    keeper = _admin(live_stack, chromium)
    keeper.goto("/admin/snippets/pricing/creditapplication/")
    shoot(keeper, "pricing-admin-queue-1440")
    keeper.goto(
        f"/admin/bulk/pricing/creditapplication/approve/?id={mine.rstrip('/').split('/')[-1]}"
    )
    shoot(keeper, "pricing-admin-approve-1440")
    keeper.fill("[name=images]", "40")
    keeper.locator("form [type=submit]").last.click()
    keeper.wait_for_url("**/creditapplication/**")
    looked_at(page, mine, "credits-approved")
    expect(page.get_by_role("row", name=re.compile("Images"))).to_contain_text("40")
    secret = key_of(page, "infer")
    spend = (
        "from pricing.models import Plan; from django.contrib.auth import get_user_model; from pricing import services; "
        "services.plan_set(user=get_user_model().objects.get(email='rhea@example.org'), "
        "plan=Plan.objects.get(slug='research'))"
    )
    live_stack.manage("shell", "-v0", "-c", spend)
    assert ask(live_stack, secret)[0] == 200, "an image of no benchmark uses the credits"
    page.goto(mine)
    expect(page.get_by_role("row", name=re.compile("Images"))).to_contain_text("39")


def _admin(stack: LiveStack, chromium: "Browser") -> Page:
    stack.manage(
        "shell", "-v0", "-c",
        "from django.contrib.auth import get_user_model; "
        "get_user_model().objects.create_superuser('grantor', 'grantor@example.org', 'a-passphrase')",
    )  # fmt: skip
    context = chromium.new_context(base_url=stack.base_url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("[name=username]", "grantor")
    page.fill("[name=password]", "a-passphrase")
    page.click("[type=submit]")
    page.wait_for_url("**/admin/")
    return page
