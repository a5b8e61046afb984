"""The admin's own pages, and what editors put on pages, in a browser: reachable by keyboard, readable by
everybody, at home under the site's policy."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE, axe, quiet, shoot
from tests.live import LiveStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.browser]

MEDIA = r"""
from io import BytesIO
from django.core.files.base import ContentFile
from PIL import Image as Picture
from wagtail.images import get_image_model
from wagtail.images.blocks import ImageBlock
from research.models import PaperPage
file = BytesIO()
Picture.new("RGB", (1600, 900), "teal").save(file, "PNG")
image = get_image_model().objects.create(title="A field", description="A teal field.", file=ContentFile(file.getvalue(), "field.png"))
page = PaperPage.objects.get(slug="qlora")
page.details = [
    ("image", {"image": ImageBlock().to_python({"image": image.pk, "alt_text": "A teal field", "decorative": False}), "caption": "Fig. 1"}),
    ("table", {"data": [["Precision", "MB"], ["FP16", "11.4"], ["4-bit", "3.9"]], "first_row_is_table_header": True, "first_col_is_header": True, "table_header_choice": "both", "table_caption": "What weights take"}),
    ("film", {"url": "https://vimeo.com/76979871", "title": "How it points", "caption": "A film."}),
    ("maths", {"tex": r"\mathrm{softmax}(z)_i = \frac{e^{z_i}}{\sum_{j=1}^{n} e^{z_j}}", "name": "Equation 1"}),
]
page.relevance = r"<p>In a line: \(W = W_0 + \frac{\alpha}{r} BA\), where \(r \ll d\); and one that is long: \(p(y \mid x) = \prod_{t=1}^{T} \frac{e^{z_{t,y_t}}}{\sum_{v} e^{z_{t,v}}}, \quad z_t = W h_t + b, \quad h_t = f(h_{t-1}, y_{t-1}, x), \quad \theta^* = \arg\max_\theta \sum_i \log p\).</p>"
page.save_revision().publish()
"""
WIDTHS = (1440, 390)


@pytest.fixture(scope="module")
def editor(live_stack: LiveStack, chromium: "Browser") -> "Iterator[Page]":
    """An admin at work; what waits for one is there."""
    live_stack.manage(
        "shell", "-v0", "-c",
        "from django.contrib.auth import get_user_model; from pricing.services import key_make; "
        "u = get_user_model().objects.create_superuser('keeper', 'keeper@example.org', 'a-passphrase'); "
        "key_make(user=u, name='laboratory', scopes=['infer'])",
    )  # fmt: skip
    context = chromium.new_context(base_url=live_stack.base_url, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("[name=username]", "keeper")
    page.fill("[name=password]", "a-passphrase")
    page.click("[type=submit]")
    page.wait_for_url("**/admin/")
    yield page
    context.close()


def axe_in(page: Page, selector: str) -> list[str]:
    """Violations within what is ours: the frame around it is Wagtail's."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "s => axe.run(s, {rules: {'page-has-heading-one': {enabled: false}}}).then(r => r.violations)",
        selector,
    )
    return [f"{v['id']}: {n['target']}" for v in found for n in v["nodes"]]


def looked_at(page: Page, address: str, name: str, ours: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        answer = page.goto(address)
        assert answer is None or answer.status == 200, address
        shoot(page, f"admin-{name}-{width}")
        assert axe_in(page, ours) == [], f"{address} at {width}"
        wider = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wider <= 0 or width == 390, f"{address} is {wider} px too wide"


LISTS = (
    "leaderboard/benchmark", "leaderboard/split", "leaderboard/submission", "leaderboard/team",
    "leaderboard/challenge", "leaderboard/participation", "leaderboard/benchmarkprompt",
    "leaderboard/reportedfigure", "leaderboard/logline", "inference/variant",
    "inference/variantmeasurement", "inference/job", "pricing/apikey", "research/brokenlink",
    "pricing/mailaddress", "pricing/secondstep", "pricing/linkedaccount", "status/checkresult",
    "django_celery_beat/periodictask", "taggit/tag",
)  # fmt: skip


def test_the_pages_that_we_add(editor: Page) -> None:
    looked_at(editor, "/admin/", "home", ".w-panel--dashboard, #what-waits")
    looked_at(editor, "/admin/import-papers/", "import", "main form")
    looked_at(editor, "/admin/mails/", "mails", "main table")
    looked_at(editor, "/admin/mails/password_reset/", "mail", "main form")
    for name in LISTS:
        editor.set_viewport_size({"width": 1440, "height": 900})
        answer = editor.goto(f"/admin/snippets/{name}/")
        assert answer
        assert answer.status == 200, name
        shoot(editor, f"admin-list-{name.replace('/', '-')}")
    for address, name in (
        ("/admin/settings/research/sitetexts/", "texts"),
        ("/admin/reports/undescribed/", "undescribed"),
        ("/admin/reports/failing-notebooks/", "failing-notebooks"),
    ):
        editor.goto(address)
        shoot(editor, f"admin-{name}")


def test_a_key_is_revoked_by_keyboard(editor: Page) -> None:
    editor.set_viewport_size({"width": 1440, "height": 900})
    editor.goto("/admin/snippets/pricing/apikey/")
    row = editor.get_by_role("row", name=re.compile("laboratory"))
    row.get_by_role("checkbox").focus()
    editor.keyboard.press("Space")
    revoke = editor.locator(".bulk-actions-buttons").get_by_role("link", name=re.compile("Revoke"))
    expect(revoke).to_be_visible()
    revoke.focus()
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("These work no more from now on")).to_be_visible()
    shoot(editor, "admin-revoke")
    assert axe_in(editor, "main form") == []
    editor.get_by_role("button", name="Revoke").focus()
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("1 API key revoked.")).to_be_visible()
    assert editor.get_by_role("link", name="Delete", exact=True).count() == 0


def test_a_mail_is_seen_before_it_is_saved(editor: Page) -> None:
    editor.set_viewport_size({"width": 1440, "height": 900})
    editor.goto("/admin/mails/")
    editor.get_by_role("link", name="Somebody forgot the password").click()
    editor.get_by_label(re.compile("Body")).fill("Hello {username},\n\nchoose a new one: {link}")
    editor.get_by_role("button", name="Preview").click()
    expect(editor.get_by_text("Hello ada,")).to_be_visible()
    for width in WIDTHS:
        editor.set_viewport_size({"width": width, "height": 900})
        shoot(editor, f"admin-mail-preview-{width}")
        assert axe_in(editor, "main form, main section") == []
    editor.get_by_label(re.compile("Body")).fill("Hello {nobody}")
    editor.get_by_role("button", name="Save").click()
    expect(editor.get_by_text("There is no variable {nobody}")).to_be_visible()
    shoot(editor, "admin-mail-error")


def test_a_paper_is_imported(editor: Page) -> None:
    editor.set_viewport_size({"width": 1440, "height": 900})
    editor.goto("/admin/import-papers/")
    editor.get_by_label(re.compile("DOI, arXiv id or BibTeX")).fill(
        '@misc{x, title={Strings}, author={M{\\"u}ller, J{\\"o}rg}, year={1999}, eprint={hep-th/9901001}}'
    )
    editor.get_by_role("button", name="Look it up").click()
    expect(editor.get_by_text("Müller, Jörg")).to_be_visible()
    for width in WIDTHS:
        editor.set_viewport_size({"width": width, "height": 900})
        shoot(editor, f"admin-import-preview-{width}")
        assert axe_in(editor, "main form") == []
    editor.get_by_role("button", name="Make drafts").click()
    editor.wait_for_url("**/edit/")
    expect(editor.locator("[name=title]")).to_have_value("Strings")
    editor.goto("/admin/import-papers/")
    editor.get_by_label(re.compile("DOI, arXiv id or BibTeX")).fill("hello")
    editor.get_by_role("button", name="Look it up").click()
    expect(editor.get_by_text(re.compile("is no DOI, no arXiv id"))).to_be_visible()
    shoot(editor, "admin-import-error")


def size_of(page: Page) -> tuple[float, float]:
    box = page.locator(".film__frame").bounding_box()
    assert box
    return box["width"], box["height"]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_editors_put_on_pages(live_stack: LiveStack, chromium: "Browser", width: int) -> None:
    live_stack.manage("shell", "-v0", "-c", MEDIA)
    context = chromium.new_context(
        base_url=live_stack.base_url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )  # fmt: skip
    page = context.new_page()
    complaints = quiet(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("https://player.vimeo.com/**", lambda route: route.fulfill(body="<p>The film</p>", content_type="text/html"))  # fmt: skip
    page.goto("/research/papers/qlora/")
    image = page.locator("figure.media img")
    ratio = image.evaluate("i => [i.getAttribute('width'), i.getAttribute('height')]")
    assert all(ratio)
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("complete", value=True)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    drawn = page.locator(".maths math").bounding_box()
    assert drawn
    assert drawn["height"] > 30  # a fraction, not a line of text
    assert page.locator(".prose math[display=inline]").count() == 3
    assert axe(page) == []
    shoot(page, f"media-{width}")
    assert not [url for url in asked if "vimeo" in url]
    button = page.get_by_role("button", name="Show it here")
    before = size_of(page)
    button.focus()
    page.keyboard.press("Enter")
    frame = page.frame_locator("iframe[title='How it points']")
    expect(frame.get_by_text("The film")).to_be_visible()
    assert size_of(page) == before  # nothing beside it moves
    assert [url for url in asked if "vimeo" in url] == [
        "https://player.vimeo.com/video/76979871?dnt=1"
    ]
    assert complaints == []
    context.close()
