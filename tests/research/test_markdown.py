"""Every page's Markdown twin: where the page says it is, and nowhere else."""

import re
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from wagtail.models import Page, PageViewRestriction

from research.models import PaperPage, PapersPage

pytestmark = pytest.mark.django_db


def twin(client: Client, address: str) -> str:
    page = BeautifulSoup(client.get(address).getvalue(), "html.parser")
    link: Any = page.find("link", rel="alternate", type="text/markdown")
    return str(link["href"])


def test_every_kind_of_page_has_its_twin_where_it_says(client: Client, starter) -> None:
    llms = client.get("/llms.txt").content.decode()
    kinds = {page.specific_class: page for page in Page.objects.live().filter(depth__gt=1)}
    assert len(kinds) > 15
    for page in kinds.values():
        address = twin(client, page.url)
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer["Content-Type"] == "text/markdown; charset=utf-8"
        assert answer.content.decode().rstrip().endswith(f"Source: http://testserver{page.url}")
        if page.depth > 2:
            assert f"(http://testserver{address})" in llms


def test_a_papers_twin_says_what_the_page_says(client: Client, starter) -> None:
    text = client.get("/research/papers/qlora.md?utm_source=x").content.decode()
    assert text.startswith("# QLoRA") or "\n# QLoRA" in text
    assert "Tim Dettmers" in text
    assert "](http://testserver/research/papers/qlora/cite/bib/)" in text
    assert "](/" not in text


def test_one_address_a_twin(client: Client, starter) -> None:
    moved = client.get("/research/papers/qlora.md/?a=1")
    assert (moved.status_code, moved["Location"]) == (301, "/research/papers/qlora.md?a=1")
    for path in ("/research/papers/qlora/.md", "/research/papers/qlora/cite/bib.md",
                 "/research//papers.md", "/research/papers/qlora/cite.md", "/index/index.md"):  # fmt: skip
        assert client.get(path).status_code == 404, path


def test_a_twin_goes_with_its_page(client: Client, starter) -> None:
    page = PaperPage.objects.get(slug="qlora")
    page.title = "Words of a draft"
    page.save_revision()
    assert "Words of a draft" not in client.get("/research/papers/qlora.md").content.decode()
    restriction = PageViewRestriction.objects.create(page=page, restriction_type="login")
    assert client.get("/research/papers/qlora.md").status_code == 404
    restriction.delete()
    page.unpublish()
    assert client.get("/research/papers/qlora.md").status_code == 404


def test_titles_and_addresses_of_any_letters(client: Client, starter) -> None:
    page = PaperPage(title="[Café] naïve", slug="café", abstract="x", published_on="2020-01-01", is_sample=True)  # fmt: skip
    PapersPage.objects.get().add_child(instance=page)
    address = twin(client, page.url)
    assert address == "/research/papers/caf%C3%A9.md"
    assert client.get(address).status_code == 200
    line = next(
        row for row in client.get("/llms.txt").content.decode().splitlines() if "Café" in row
    )
    assert re.match(r"- \[\\\[Café\\\] naïve\]\(http://testserver/research/papers/caf%C3%A9\.md\)", line)  # fmt: skip
