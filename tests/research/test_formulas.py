r"""Formulas in a line of text: `\(E = mc^2\)` is drawn, told in TeX where there is only text, and refused
where it cannot be drawn."""

import html
import re
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from wagtail.models import Page

from research import formulas
from research.models import DocsArticlePage, PaperPage, ReleasePage
from research.selectors.library import plain

LINE = r"<p>As in \(\mathrm{softmax}(z)_i &lt; y_{max}\), and <b>no</b> \( more \).</p>"


def maths(text: str) -> list[str]:
    return re.findall(r"<math.*?</math>", text, re.DOTALL)


def test_a_formula_is_drawn_where_it_stands() -> None:
    drawn = formulas.drawn(LINE)
    first, second = maths(drawn)
    assert 'display="inline"' in first
    annotation = re.search(r'<annotation encoding="application/x-tex">(.*?)</annotation>', first)
    assert annotation is not None
    assert html.unescape(annotation[1]) == r"\mathrm{softmax}(z)_i < y_{max}"
    assert "<mi>m</mi>" in second
    assert drawn.startswith("<p>As in <math")
    assert drawn.endswith("</math>.</p>")
    assert "\\(" not in drawn


@pytest.mark.parametrize(
    "text",
    [
        r"<p>It costs $5 and $6.</p>", r"<p>A (plain) \ text, \) and \(.</p>", r"<p>\(\)</p>",
        r"<p><code>\(x\)</code></p>", r"<pre>\(x\)</pre>", r'<p><a href="/a\(x\)">x</a></p>',
        r"<p>\(a <b>b</b>\)</p>", r"<p><code>a <b>b</b> \(x\)</code></p>", r"<!-- \(x\) -->",
    ],
)  # fmt: skip
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert formulas.drawn(text) == text


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{", r"\unknownthing", r"\def\a{b}\a", r"\text{" + "x" * 400 + "}", "x" * 301, "{" * 31 + "}" * 31,
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_stays_as_it_is_written(tex: str) -> None:
    text = rf"<p>So \({tex}\) and \(y\).</p>"
    drawn = formulas.drawn(text)
    assert rf"\({tex}\)" in drawn
    assert len(maths(drawn)) == 1


@pytest.mark.parametrize(
    "tex",
    [
        "&lt;script&gt;alert(1)&lt;/script&gt;", r"\text{&lt;img src=x onerror=alert(1)&gt;}",
        r"\text{&amp;lt;script&amp;gt;}", r"\href{javascript:alert(1)}{x}",
        r"\text{&lt;/annotation&gt;&lt;script&gt;}",
    ],
)  # fmt: skip
def test_nothing_comes_out_of_a_formula(tex: str) -> None:
    drawn = formulas.drawn(rf"<p>\({tex}\)</p>").lower()
    assert not re.search(r"<(script|img|a|iframe)\b", drawn)
    assert "href" not in drawn or "\\href" in drawn


def test_many_formulas_and_open_brackets_take_no_time() -> None:
    began = time.perf_counter()
    formulas.drawn(r"\(" * 20_000)
    formulas.drawn("<p>" + r"\(" + "x<b>" * 20_000)
    formulas.drawn("<" * 50_000 + r"\(x\)")
    formulas.problems(r"\(" * 20_000)
    assert time.perf_counter() - began < 2


def test_a_wide_one_scrolls_by_itself() -> None:
    assert "formula" not in formulas.drawn(r"<p>\(W = W_0 + \frac{\alpha}{r} BA\)</p>")
    wide = formulas.drawn(rf"<p>\({'W' * 21}\)</p>")
    assert wide.startswith('<p><span class="formula" tabindex="0" role="group"')


def test_plain_text_tells_it_in_tex() -> None:
    assert plain(LINE, 200) == r"As in \mathrm{softmax}(z)_i < y_{max}, and no more."


@pytest.fixture
def release(starter: Any) -> ReleasePage:
    page = ReleasePage.objects.live().first()
    page.body = r"<p>Points are drawn by \(p(x \mid i) &lt; \zeta\) now.</p>"
    page.search_description = ""
    page.save_revision().publish()
    found: ReleasePage = ReleasePage.objects.get(pk=page.pk)
    return found


@pytest.mark.django_db
def test_a_page_its_twin_its_feed_and_the_search_have_it(
    release: ReleasePage, client: Client
) -> None:
    assert len(maths(client.get(release.url).content.decode())) == 1
    twin = client.get(release.markdown_url).content.decode()
    assert r"Points are drawn by $p(x \mid i) < \zeta$ now." in twin
    entry = next(i for i in client.get("/feeds/releases.json").json()["items"] if i["title"] == release.title)  # fmt: skip
    assert r"Points are drawn by p(x \mid i) < \zeta now." in entry["content_text"]
    rss = client.get("/feeds/releases.rss").content.decode()
    assert html.unescape(html.unescape(rss)).count(r"p(x \mid i) < \zeta") == 1
    found = client.get("/search/?q=zeta").content.decode()
    assert release.title in found
    assert "\\(" not in found


@pytest.mark.django_db
def test_streams_and_headings_have_it_too(starter: Any, client: Client) -> None:
    article = DocsArticlePage.objects.get(slug="quickstart")
    article.body.append(
        ("prose", r"<h2>On \(x^2\)</h2><p>The value \(\sqrt{x}\), <code>\(x\)</code>.</p>")
    )
    article.body.append(("note", {"tone": "info", "text": r"<p>Mind \(y\).</p>"}))
    article.save_revision().publish()
    text = client.get(article.url).content.decode()
    assert len(maths(text)) == 3
    assert r"<code>\(x\)</code>" in text
    assert "$\\sqrt{x}$" in client.get(article.markdown_url).content.decode()


def form_of(client: Client, page: Page, **changed: Any) -> dict[str, Any]:
    """What the editor of a release sends."""
    sent: dict[str, Any] = {
        "title": page.title, "slug": page.slug, "accent": page.accent, "version": page.version,
        "published_on": str(page.published_on), "model_revision": "", "paper": "", "source_url": "",
        "search_description": "", "seo_title": "",
        "details-count": "0", "tags": "", "comments-TOTAL_FORMS": "0", "comments-INITIAL_FORMS": "0",
        "go_live_at": "", "expire_at": "",
    }  # fmt: skip
    return sent | changed


def draftail(text: str) -> str:
    import json

    block = {"key": "a", "text": text, "type": "unstyled", "depth": 0, "inlineStyleRanges": [], "entityRanges": []}  # fmt: skip
    return json.dumps({"blocks": [block], "entityMap": {}})


@pytest.mark.django_db
def test_a_formula_that_cannot_be_drawn_is_an_error_at_its_field(
    release: ReleasePage, admin_client: Client
) -> None:
    edit = reverse("wagtailadmin_pages:edit", args=[release.pk])
    answer = admin_client.post(
        edit, form_of(admin_client, release, body=draftail(r"A \(\frac{1\) here"))
    )
    form = answer.context["form"]
    assert set(form.errors) == {"body"}, form.errors
    assert "braces do not match" in str(form.errors["body"])
    answer = admin_client.post(
        edit, form_of(admin_client, release, body=draftail(r"A \(x < y\) here"))
    )
    assert answer.status_code == 302, answer.context["form"].errors
    assert (
        r"\(x &lt; y\)"
        in ReleasePage.objects.get(pk=release.pk).get_latest_revision_as_object().body
    )


@pytest.mark.django_db
def test_sections_of_papers_are_checked_and_drawn(starter: Any, client: Client) -> None:
    paper = PaperPage.objects.filter(sections__isnull=False).first()
    section = paper.sections.first()
    section.text = r"<p>With \(\nosuchthing\).</p>"
    with pytest.raises(Exception, match="nosuchthing"):
        section.full_clean()
    section.text = r"<p>With \(\alpha\).</p>"
    section.full_clean()
    section.save()
    assert 'display="inline"' in client.get(paper.url).content.decode()


@pytest.mark.django_db
def test_streams_are_checked_deeply(starter: Any) -> None:
    article = DocsArticlePage.objects.get(slug="quickstart")
    assert formulas.problems(article.body) == []
    article.body.append(("note", {"tone": "info", "text": r"<p>Mind \(\nope\).</p>"}))
    article.body.append(("prose", r"<p>And \(" + "x" * 301 + r"\).</p>"))
    assert [p.partition(":")[2][:20].strip() for p in formulas.problems(article.body)] == [
        r"\nope is not known", "In a line a formula",
    ]  # fmt: skip
