"""What surrounds every page, and what pages say of themselves in their heads."""

import json
import re
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from wagtail.models import Page, Site

from inference import selectors as inference
from leaderboard.models import Benchmark
from leaderboard.selectors import BenchmarkCost
from pricing import costs
from pricing.selectors import Cost
from research import citation, facts, formulas, selectors
from research.models import BasePage, NotebookPage, PaperPage

register = template.Library()


@register.simple_tag
def fact(name: str) -> str:
    """A figure of this server."""
    return facts.FACTS[name]()


@register.filter
def with_facts(html: Any) -> SafeString:
    """Rich text with this server's figures in the place of their names."""
    return mark_safe(facts.filled(str(html)))  # noqa: S308  # the figures are digits and words of ours


@register.simple_tag(takes_context=True)
def shell_chrome(context: template.Context) -> selectors.Chrome:
    """Navigation of the request's site; empty on an error page without a request."""
    request = context.get("request")
    site = Site.find_for_request(request) if request else None
    return selectors.chrome(site) if site else selectors.Chrome()


@register.simple_tag(takes_context=True)
def site_text(context: template.Context, name: str) -> str:
    """Words of the request's site that editors may change, by their name in `SiteTexts`."""
    return str(getattr(shell_chrome(context).texts, name))


@register.inclusion_tag("components/empty_state.html", takes_context=True)
def empty_state(
    context: template.Context, name: str, *, text: str = "", level: int = 2, url: str = "", label: str = ""
) -> dict[str, Any]:  # fmt: skip
    """What stands where a list is empty: heading and text by their name in `SiteTexts`.

    Args:
        text: another than the one there, where a page has its own.
    """
    texts = shell_chrome(context).texts
    title, said = getattr(texts, f"{name}_title"), text or getattr(texts, name)
    return {"title": title, "text": said, "level": level, "url": url, "label": label}


@register.inclusion_tag("components/photographs.html", takes_context=True)
def photographs_offer(context: template.Context) -> dict[str, str]:
    """How a site comes by a model for photographs, while the embedded one is alone on it."""
    if not inference.is_embedded_alone():
        return {}
    texts = shell_chrome(context).texts
    return {"title": texts.offer_title, "text": texts.offer_text}


def _json_ld(record: dict[str, Any]) -> SafeString:
    """A data block: `<` is escaped, so that no text can end it."""
    text = json.dumps(record, ensure_ascii=False).replace("<", "\\u003c")
    return mark_safe(  # noqa: S308  # JSON whose `<` are escaped
        f'<script type="application/ld+json">{text}</script>'
    )


@register.simple_tag(takes_context=True)
def page_meta(context: template.Context, page: BasePage) -> SafeString:
    """Canonical address, Open Graph, the Markdown twin and JSON-LD of a page."""
    request = context.get("request")
    if request is None or not page.url:
        return mark_safe("")
    address = request.build_absolute_uri(page.url)
    kind = "article" if page.depth > 3 else "website"
    rows = [
        ("og:type", kind), ("og:url", address), ("og:description", page.summary[:200]),
        ("og:image", request.build_absolute_uri(f"/og/{page.pk}.png")),
        ("og:image:width", "1200"), ("og:image:height", "630"), ("og:image:alt", page.title),
    ]  # fmt: skip
    tags = format_html_join("\n  ", '<meta property="{}" content="{}">', rows)
    return format_html(
        '<link rel="canonical" href="{}">\n  '
        '<link rel="alternate" type="text/markdown" href="{}">\n  '
        '<meta name="twitter:card" content="summary_large_image">\n  {}\n  {}',
        address, page.markdown_url, tags, _json_ld(page.structured_data(request)),
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def citation_tags(context: template.Context, page: PaperPage) -> SafeString:
    """The Highwire tags that Google Scholar reads."""
    request = context["request"]
    tags = citation.meta_tags(page, request.build_absolute_uri)
    return format_html_join("\n  ", '<meta name="{}" content="{}">', tags)


@register.simple_tag
def papers_of(benchmark: Benchmark) -> list[PaperPage]:
    """The papers a leaderboard belongs to: its page is of a lower room and cannot ask."""
    return selectors.papers_of(benchmark)


@register.simple_tag(takes_context=True)
def feedback_link(context: template.Context, page: Page) -> str:
    """Address that opens an issue about a page; empty where the repository is not named."""
    request = context["request"]
    chrome = context.get("chrome")
    repository = chrome.source_repository if chrome else ""
    if not repository:
        return ""
    title = urlencode(
        {"title": f"Docs: {page.title}", "body": request.build_absolute_uri(page.url)}
    )
    return f"https://github.com/{repository}/issues/new?{title}"


@register.simple_tag(takes_context=True)
def notebook_links(context: template.Context, page: NotebookPage) -> dict[str, str]:
    """Where a notebook opens in Colab and in Binder; empty where the repository is not named."""
    chrome = context.get("chrome") or selectors.Chrome()
    path = page.source_path
    return {"colab": chrome.colab_of(path), "binder": chrome.binder_of(path)}


@register.filter
def with_formulas(html: Any) -> SafeString:
    """Rich text with the formulas in its lines drawn."""
    return mark_safe(formulas.drawn(str(html)))  # noqa: S308  # MathML of known elements alone


_HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)


@register.filter
def with_anchors(html: str) -> SafeString:
    """Give each heading of rendered rich text an id made from its words, to link to."""

    def anchored(match: re.Match[str]) -> str:
        level, inner = match.groups()
        name = slugify(re.sub(r"<[^>]+>", "", inner))
        return f'<h{level} id="{escape(name)}">{inner}</h{level}>'

    return mark_safe(_HEADING.sub(anchored, str(html)))  # noqa: S308  # what `richtext` rendered


@register.simple_tag
def image_price(cost: Cost, margin_percent: float = 0) -> str:
    """What one image costs, in cents."""
    return costs.image_cents(cost.price(margin_percent))


@register.simple_tag
def benchmark_total(benchmark: BenchmarkCost, cost: Cost) -> str:
    """What a whole benchmark costs by one variant."""
    return benchmark.total(cost)


@register.filter
def grouped(number: int) -> str:
    """A whole number with commas between thousands."""
    return f"{number:,}"


@register.filter
def plain_number(number: Any) -> str:
    """A number as scripts read it."""
    return repr(float(number))
