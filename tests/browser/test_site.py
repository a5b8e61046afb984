"""What a visitor does on the site's own pages."""

import base64
import gzip
import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from inference.world.samples import SAMPLE_DIR
from pricing import costs
from tests.browser.conftest import answer_instead, quiet, shoot
from tests.live import LiveStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.browser]


def test_the_mini_benchmark_by_keyboard(page: Page) -> None:
    page.goto("/")
    charts = page.locator(".mini__chart")
    expect(charts.nth(0)).to_be_visible()
    expect(charts.nth(1)).to_be_hidden()
    page.locator(".mini input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(charts.nth(0)).to_be_hidden()
    expect(charts.nth(1)).to_be_visible()
    ours = charts.nth(1).locator(".bars__ours")
    expect(ours).to_contain_text("moondream2")
    # The bar's length is the figure's share of the longest.
    longest = (
        charts.nth(1)
        .locator("rect")
        .evaluate_all("r => Math.max(...r.map(x => +x.getAttribute('width')))")
    )
    assert longest == 100
    expect(charts.nth(1).locator("figcaption a")).to_have_attribute("href", re.compile("^https://"))


def test_the_playground_opens_in_the_page_and_answers(page: Page) -> None:
    page.goto("/")
    embed = page.locator("[data-embed]")
    embed.locator("summary").click()
    expect(embed.locator("[data-run]")).to_be_visible()
    embed.locator("[data-run]").click()
    expect(embed.locator("[data-moon-label]")).to_have_text("Done", timeout=30_000)
    expect(embed.locator("[data-confidence]")).not_to_have_text("–")


def test_a_page_holds_one_playground_at_a_time(page: Page) -> None:
    page.goto("/")
    call = page.locator(".site-header [data-open-playground]")
    call.click()
    expect(page.locator("dialog [data-run]")).to_be_visible()
    page.keyboard.press("Escape")
    embed = page.locator("[data-embed]")
    embed.locator("summary").click()
    expect(embed.locator("[data-run]")).to_be_visible()
    assert page.locator("#pg-question").count() == 1
    call.click()
    expect(page.locator("dialog")).to_be_hidden()
    expect(embed.locator("summary").first).to_be_focused()
    expect(embed).to_be_in_viewport()


def test_the_sdk_panel_tells_an_empty_answer(page: Page) -> None:
    page.goto("/")
    answer_instead(page, {"answer": ""})
    page.click("[data-sdk-run]")
    expect(page.locator("[data-sdk-answer]")).to_have_text("The model gave an empty answer.")


def test_the_sdk_panel_runs_the_request_its_code_shows(page: Page) -> None:
    page.goto("/")
    panel = page.locator("[data-sdk]")
    panel.get_by_role("button", name="Run it now").click()
    expect(panel.locator("[data-sdk-json]")).to_contain_text('"answer"', timeout=30_000)
    shown = json.loads(panel.locator("[data-sdk-json]").inner_text())
    assert panel.locator("[data-sdk-answer]").inner_text() == shown["result"]["answer"]
    for phase in ("request", "queue", "encode", "tokens", "done"):
        expect(panel.locator(f"[data-phase={phase}]")).to_have_attribute("data-state", "done")
        assert re.search(r"\d ms$", panel.locator(f"[data-phase={phase}] [data-time]").inner_text())


def test_one_language_everywhere_and_after_a_reload(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="cURL").first.click()
    expect(page.locator("[data-sdk] [data-panel=shell]")).to_be_visible()
    page.goto("/docs/start/quickstart/")
    expect(page.locator("[data-panel=shell]").first).to_be_visible()
    # Where the language is missing, the first one stands in.
    expect(page.locator("[data-code-tabs]").first.locator("[aria-pressed=true]")).to_have_text(
        "Python"
    )
    page.reload()
    expect(page.locator("[data-panel=shell]").first).to_be_visible()
    block = page.locator("[data-code-tabs]").last
    block.locator("[data-copy]").click()
    assert (
        page.evaluate("navigator.clipboard.readText()")
        == block.locator("[data-panel=shell] code").inner_text()
    )


def test_costs_follow_the_slider(live_stack: LiveStack, page: Page) -> None:
    script = (
        "from inference.models import Variant, VariantMeasurement; "
        "[VariantMeasurement.objects.create(variant=v, revision='t', hardware='test', device='cpu', threads=1,"
        " dtype='bfloat16', weight_bytes=1, peak_bytes=1, load_ms=1, encode_ms=10, first_token_ms=10,"
        " tokens_per_s=240, scores={}) for v in Variant.objects.all()]"
    )
    live_stack.manage("shell", "-v0", "-c", script)
    page.goto("/#variants")
    row = page.locator("[data-cost-row]").first
    # 0.12 s an image at 0.08925 dollars an hour.
    each = costs.image_cost(costs.Rates(0.12, 0.08925))
    assert float(row.get_attribute("data-cost-row") or 0) == pytest.approx(each, rel=1e-3)
    slider = page.locator("[data-cost-range]")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("[data-cost-count]")).to_have_text("100,000,000")
    assert row.locator("[data-cost-value]").inner_text() == costs.money(each * 1e8)
    page.keyboard.press("Home")
    expect(page.locator("[data-cost-count]")).to_have_text("1,000")


def test_search_by_its_key(page: Page) -> None:
    page.goto("/docs/")
    page.keyboard.press("/")
    page.wait_for_url("**/search/")
    expect(page.locator("#search-q")).to_be_focused()
    page.keyboard.type("normalfloat")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="QLoRA").click()
    page.get_by_role("link", name="4-bit NormalFloat", exact=True).click()
    expect(page).to_have_url(re.compile("#sec-nf4$"))
    page.go_back()
    page.locator("main").click()
    page.keyboard.press("/")  # on another page again
    page.wait_for_url("**/search/")


def test_a_stage_opens_alone_and_leads_to_its_paper(page: Page) -> None:
    page.goto("/")
    stages = page.locator(".stage")
    expect(stages.first).to_have_attribute("open", "")
    stages.nth(4).locator("summary").click()
    expect(stages.nth(4)).to_have_attribute("open", "")
    assert stages.first.get_attribute("open") is None
    stages.nth(4).get_by_role("link", name=re.compile("^QLoRA")).click()
    expect(page.locator("#sec-nf4")).to_be_in_viewport()


def test_a_shelf_is_filtered_and_shared(page: Page) -> None:
    page.goto("/research/papers/")
    page.select_option("#tag", "quantisation")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("tag=quantisation"))
    expect(page.locator(".item")).to_have_count(2)
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator(".item")).to_have_count(12)
    page.get_by_role("link", name="Older").click()
    expect(page.locator(".item")).to_have_count(7)


def test_the_sandbox_keeps_a_key_and_calls_the_server(context: BrowserContext) -> None:
    page = context.new_page()
    complaints = quiet(page)
    page.goto("/docs/api/try/")
    operation = page.locator(
        "#operations-Skills-variants_list, [id^=operations-][id*=variants]"
    ).first
    operation.wait_for()
    page.locator(".authorization__btn").first.click()
    page.locator(".auth-container input").first.fill("my-own-key")
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".btn-done").click()
    page.reload()
    operation.wait_for()
    assert "my-own-key" in page.evaluate("localStorage.getItem('authorized')")
    operation.locator(".opblock-summary-control").click()
    with page.expect_response(re.compile("/v1/variants")) as answered:
        operation.locator("button.execute").click()
    assert answered.value.status == 200
    assert answered.value.request.headers["x-moondream-auth"] == "my-own-key"
    assert complaints == []


def test_the_sandbox_saves_and_shares_what_was_asked(context: BrowserContext) -> None:
    page = context.new_page()
    complaints = quiet(page)
    page.goto("/docs/api/try/")
    operation = page.locator("[id^=operations-][id$=-caption]").first
    operation.locator(".opblock-summary-control").click()
    image = base64.b64encode((SAMPLE_DIR / "crosses.webp").read_bytes()).decode()
    body = json.dumps({"image_url": f"data:image/webp;base64,{image}", "length": "short"})
    operation.locator("textarea.body-param__text").fill(body)
    operation.locator("button.execute").click()
    saved = page.locator("[data-saved-list] li")
    expect(saved).to_have_count(1)
    expect(page.locator("[data-saved-note]")).to_contain_text("Saved.")
    shoot(page, "sandbox-saved-1440")
    saved.get_by_role("button", name="Share").click()
    link = page.get_by_label("Link to this request").input_value()
    page.goto("/playground/sessions/")
    expect(page.get_by_role("link", name="Short caption").first).to_be_visible()
    page.goto(link)
    expect(page.locator(".run__answer")).to_contain_text("cross")
    assert complaints == []


def test_everything_can_be_read_without_javascript(
    chromium: "Browser", live_stack: LiveStack
) -> None:
    context = chromium.new_context(base_url=live_stack.base_url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/docs/start/quickstart/")
    for text in ("import moondream as md", "await model.caption", "curl -s"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.goto("/")
    expect(page.locator(".bars").first).to_be_visible()
    expect(page.get_by_role("button", name="Run it now")).to_be_hidden()
    page.goto("/research/notebooks/reproduce-a-figure/")
    expect(page.locator(".cell").first).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    "path", ["/", "/research/papers/qlora/", "/docs/start/quickstart/", "/playground/"]
)
def test_scripts_and_styles_stay_small(page: Page, path: str) -> None:
    """At most 150 KB of CSS and JS, compressed, before anybody touches the page."""
    weights: dict[str, int] = {}

    def weigh(response: Response) -> None:
        if response.request.resource_type in ("stylesheet", "script"):
            weights[response.url] = len(gzip.compress(response.body(), 9))

    page.on("response", weigh)
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert weights
    assert sum(weights.values()) <= 150_000, weights


def test_the_largest_picture_is_not_lazy_and_the_rest_is(page: Page) -> None:
    page.goto("/product/")
    lazy = page.locator("main img").evaluate_all(
        "all => all.map(i => [i.loading, i.getBoundingClientRect().top < innerHeight])"
    )
    assert all(loading == "lazy" for loading, visible in lazy if not visible)
    page.goto("/research/notebooks/")
    sources = page.locator("picture source").evaluate_all("all => all.map(s => s.type)")
    assert set(sources) == {"image/avif"}
    fallback = page.locator("picture img").first
    assert (fallback.get_attribute("src") or "").endswith(".webp")
    loaded = fallback.evaluate("i => i.decode().then(() => i.naturalWidth)")
    assert loaded > 0


def test_an_attachment_downloads(page: Page) -> None:
    page.goto("/research/notebooks/deploy-to-the-edge/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download .ipynb").click()
    assert download.value.suggested_filename == "deploy_to_the_edge.ipynb"
    page.goto("/research/datasets/drawn-world/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".zip")
