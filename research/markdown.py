"""Pages as Markdown, from what a reader sees of them."""

import re
from typing import Any

from bs4 import BeautifulSoup, Tag
from django.http import HttpRequest
from django.template.loader import render_to_string
from markdownify import MarkdownConverter
from wagtail.models import Page, Site

from research.selectors import readable


class _Converter(MarkdownConverter):
    """markdownify's, which knows no formulas: they are told in TeX."""

    def convert_math(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        tex = el.find("annotation")
        source = tex.get_text() if tex else text
        if el.get("display") == "inline":
            return f"${source}$"
        return f"\n\n$$\n{source}\n$$\n\n"


_NOISE = ("script", "style", "svg", "form", "dialog", "button", "nav", "template")


def of_page(page: Any, request: HttpRequest) -> str:
    """The page's main part, links made absolute, with its title and address on top."""
    html = render_to_string(page.get_template(request), page.get_context(request), request)
    main = BeautifulSoup(html, "html.parser").find("main")
    if main is None:
        return f"# {page.title}\n"
    for part in main.find_all(_NOISE):
        part.decompose()
    for part in main.select(
        "[hidden], [aria-hidden=true], .visually-hidden, .docs-tree, [data-no-markdown]"
    ):
        part.decompose()
    for link in main.find_all("a", href=True):
        link["href"] = request.build_absolute_uri(str(link["href"]))
    for picture in main.find_all("img", src=True):
        picture["src"] = request.build_absolute_uri(str(picture["src"]))
    text = _Converter(heading_style="ATX", bullets="-").convert_soup(main)
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return f"{text}\n\nSource: {request.build_absolute_uri(page.url)}\n"


def index(request: HttpRequest) -> str:
    """The site in the form of llms.txt: a title, a sentence, then links by chapter."""
    site = Site.find_for_request(request)
    if site is None:
        return "# Moondream hub\n"
    home = site.root_page.specific
    pages = list(readable(Page.objects.descendant_of(home)).specific().order_by("path"))
    lines = [f"# {home.title}", "", f"> {home.summary}", ""]
    for page in pages:
        if page.depth == home.depth + 1:
            lines += ["", f"## {page.title}", ""]
        address = request.build_absolute_uri(page.markdown_url)
        summary = " ".join(page.summary.split())[:200]
        title = re.sub(r"([\\\[\]])", r"\\\1", page.title)
        lines.append(f"- [{title}]({address}){': ' + summary if summary else ''}")
    lines += [
        "",
        "## API",
        "",
        f"- [OpenAPI document]({request.build_absolute_uri('/api/openapi.json')})",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
