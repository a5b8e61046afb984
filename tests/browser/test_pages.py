"""Every page of the site, looked at."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import axe, picture, shoot
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
PAGES = (
    "/", "/product/", "/research/", "/pricing/", "/docs/", "/status/",
    "/research/papers/", "/research/papers/qlora/", "/research/notebooks/",
    "/research/notebooks/reproduce-a-figure/", "/research/datasets/drawn-world/",
    "/research/challenges/count-the-shelf/", "/research/releases/moondream2-2025-04-14/",
    "/research/roadmap/", "/research/roadmap/browser/", "/docs/guides/", "/docs/guides/errors/",
    "/docs/api/", "/search/?q=quantised", "/licences/", "/leaderboards/",
    "/leaderboards/world-counting/", "/leaderboards/world-vqa/submit/",
    "/leaderboards/world-vqa/log/", "/account/login/", "/account/signup/",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_is_accessible(page: Page, path: str) -> None:
    _look(page, path)


def test_the_style_guide_fits_and_is_accessible(
    live_stack: LiveStack, context: BrowserContext
) -> None:
    """It is for staff."""
    script = (
        "from django.contrib.auth import get_user_model; from django.test import Client; "
        "made = get_user_model().objects.create_user('designer', is_staff=True); "
        "client = Client(); client.force_login(made); print(client.cookies['sessionid'].value)"
    )
    key = live_stack.manage("shell", "-v0", "-c", script).split()[-1]
    context.add_cookies([{"name": "sessionid", "value": key, "url": live_stack.base_url}])
    _look(context.new_page(), "/styleguide/")


def _look(page: Page, path: str) -> None:
    for width in (320, 390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        expect(page.locator("h1")).to_have_count(1)
        if width in (390, 1440):
            assert axe(page) == [], width
        if width > 320:
            shoot(page, f"{path.strip('/').replace('/', '-') or 'home'}-{width}")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "home"),
        ("/docs/", "docs"),
        ("/status/", "status"),
        ("/research/", "research"),
        ("/research/papers/qlora/", "paper"),
    ],
)
def test_screenshots(live_stack: LiveStack, page: Page, path: str, name: str) -> None:
    live_stack.manage("shell", "-v0", "-c", "from status.services import checks_run; checks_run()")
    page.goto(path)
    page.wait_for_load_state("networkidle")
    picture(page, name)
    assert page.locator("main").inner_text()


def test_boxes_on_a_figure_lie_on_its_image(page: Page) -> None:
    page.goto("/product/")
    figure = page.locator(".figure__picture").first
    image, overlay = (figure.locator(part).bounding_box() for part in ("img", "svg"))
    assert image
    assert overlay
    for side in ("x", "y", "width", "height"):
        assert overlay[side] == pytest.approx(image[side], abs=1)


def test_nothing_moves_while_a_page_loads(page: Page) -> None:
    for path in ("/", "/playground/", "/docs/", "/research/", "/research/papers/qlora/"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        shift = page.evaluate("""() => new Promise((done) => {
            let sum = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) sum += entry.value;
            }).observe({type: 'layout-shift', buffered: true});
            setTimeout(() => done(sum), 300);
        })""")
        assert shift < 0.02, path


def test_the_menu_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/")
    menu = page.locator(".site-menu")
    menu.locator("summary").click()
    expect(menu.get_by_role("link", name="Docs")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu.get_by_role("link", name="Docs")).to_be_hidden()
    expect(menu.locator("summary")).to_be_focused()


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_the_header_is_one_line(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/docs/")
    box = page.locator(".site-header__bar").bounding_box()
    assert box
    assert box["height"] <= 66


def test_the_skip_link(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_a_missing_page_helps(context: BrowserContext) -> None:
    page = context.new_page()
    answer = page.goto("/no-such-page/")
    assert answer
    assert answer.status == 404
    expect(page.locator("h1")).to_be_visible()
    assert axe(page) == []


def test_an_editor_changes_a_page(live_stack: LiveStack, context: BrowserContext) -> None:
    """From the CMS to the visitor, without a developer."""
    script = (
        "from django.contrib.auth import get_user_model; "
        "from research.models import StandardPage; "
        "get_user_model().objects.create_superuser('editor', 'editor@example.org', 'a-passphrase'); "
        "print(StandardPage.objects.get(slug='pricing').pk)"
    )
    number = live_stack.manage("shell", "-v0", "-c", script).split()[-1]
    page = context.new_page()
    page.goto(f"/admin/pages/{number}/edit/")
    page.fill("[name=username]", "editor")
    page.fill("[name=password]", "a-passphrase")
    page.click("button[type=submit]")
    page.fill("[name=headline]", "What an answer costs.")
    page.evaluate("document.querySelector('[name=action-publish]').click()")
    expect(page.locator(".messages .success")).to_be_visible()
    page.goto("/pricing/")
    expect(page.locator("h1")).to_have_text("What an answer costs.")
