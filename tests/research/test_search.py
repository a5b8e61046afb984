"""Search: what readers type, what they copied from elsewhere, and what they may not find."""

from datetime import date
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.core.management import call_command
from django.test import Client
from wagtail.models import Page, PageViewRestriction

from inference.errors import catalogue
from research.models import (
    ChallengePage,
    DatasetPage,
    DocsArticlePage,
    DocsSectionPage,
    HomePage,
    LegalPage,
    NotebookPage,
    PaperPage,
    PapersPage,
    ReleasePage,
    RoadmapItemPage,
    StandardPage,
)
from research.selectors.searching import fold, search_pages

pytestmark = pytest.mark.django_db
QLORA = "QLoRA: Efficient Finetuning of Quantized LLMs"
SIGLIP = "siglip"


def found(query: str) -> list[Any]:
    return search_pages(query)[0]


def slugs(query: str) -> list[str]:
    return [page.slug for page in found(query)]


def paper(slug: str, title: str, **fields: Any) -> PaperPage:
    page = PaperPage(**{"title": title, "slug": slug, "abstract": "x", "published_on": date(2020, 1, 1),
                        "is_sample": True} | fields)  # fmt: skip
    PapersPage.objects.get().add_child(instance=page)
    page.save_revision().publish()
    return page


@pytest.mark.parametrize("asked", [
    "2303.15343", "2303.15343v2", "arXiv:2303.15343", "arxiv:2303.15343v1", "ARXIV 2303.15343",
    "https://arxiv.org/abs/2303.15343", "https://arxiv.org/abs/2303.15343v3", "arxiv.org/pdf/2303.15343.pdf",
    "http://www.arxiv.org/html/2303.15343v1", "https://export.arxiv.org/abs/2303.15343/",
    "10.48550/arXiv.2303.15343", "https://doi.org/10.48550/arXiv.2303.15343v2", " 2303.15343. ",
])  # fmt: skip
def test_an_arxiv_number_in_any_form_is_its_paper(starter, asked: str) -> None:
    assert slugs(asked)[0] == SIGLIP
    PaperPage.objects.filter(slug=SIGLIP).update(arxiv_id="2303.15343v4")
    assert slugs(asked)[0] == SIGLIP


def test_an_old_arxiv_number(starter) -> None:
    paper("old", "An old one", arxiv_id="cs.CL/0102003")
    for asked in (
        "cs.CL/0102003",
        "arXiv:cs.CL/0102003v2",
        "https://arxiv.org/abs/cs.CL/0102003",
        "CS.cl/0102003",
    ):
        assert slugs(asked)[0] == "old", asked


@pytest.mark.parametrize("doi", [
    "10.1002/(SICI)1097-4571(199806)49:8<693::AID-ASI4>3.0.CO;2-O", "10.1000/456%789", "10.3115/1073083.1073135x",
])  # fmt: skip
def test_a_doi_in_any_form_is_its_paper(starter, doi: str) -> None:
    page = paper("named", "A paper with a name", doi=doi)
    for asked in (
        doi,
        doi.upper(),
        f"doi:{doi}",
        f"DOI {doi}",
        f"https://doi.org/{doi}",
        f"http://dx.doi.org/{doi}",
        page.doi_link,
        f"{doi}.",
    ):
        assert slugs(asked)[:1] == ["named"], asked


def test_an_error_code_is_its_row_of_the_catalogue(client: Client, starter) -> None:
    for code in ("queue_full", "QUEUE_FULL", " queue_full "):
        page: Any = BeautifulSoup(client.get("/search/", {"q": code}).content, "html.parser")
        assert page.select_one(".item__title a")["href"] == "/docs/guides/errors/#error-queue_full"
    errors = client.get("/docs/guides/errors/").content.decode()
    for kind in catalogue():
        first = found(kind.code)[0]
        assert (first.slug, first.found_at) == ("errors", f"#error-{kind.code}")
        assert f'id="error-{kind.code}"' in errors
    assert found("queue")[0].found_at == ""
    assert "errors" in slugs("queue")


@pytest.mark.parametrize(("asked", "slug"), [
    ("quantis", "qlora"), ("QUANTIS", "qlora"), ("halluc", "pope"), ("dettm", "qlora"), ("fine-tu", "qlora"), ("int8()", "llm-int8"),
])  # fmt: skip
def test_the_beginning_of_a_word_is_enough(starter, asked: str, slug: str) -> None:
    assert slug in slugs(asked)
    assert "qlora" not in slugs("lora quantisx")


def test_every_tag_finds_what_has_it(starter) -> None:
    count = 0
    for page in PaperPage.objects.live():
        for tag in page.tags.all():
            assert page.slug in slugs(tag.name), (page, tag)
            count += 1
    assert count > 20
    page = PaperPage.objects.get(slug="cider")
    page.tags.add("Zymurgy studies")
    page.save_revision().publish()
    assert slugs("zymurgy") == ["cider"]


@pytest.mark.parametrize(
    "word",
    [
        "café",
        "cafe",
        "CAFÉ",
        "cafe\u0301",
        "Ødegård",
        "odegard",
        "Łódź",
        "lodz",
        "naïve",
        "naive",
        "straße",
        "strasse",
    ],
)
def test_accents_make_no_difference(starter, word: str) -> None:
    paper("accents", "Café Ødegård", abstract="Łódź cafe\u0301 naive straße")
    paper("plain", "Cafe Odegard", abstract="Lodz naïve strasse")
    assert set(slugs(word)) == {"accents", "plain"}


@pytest.mark.parametrize(("asked", "slug"), [
    ("halucination", "pope"), ("hallucinaton", "pope"), ("quantizaton", "qlora"), ("detmers", "qlora"), ("sigmiod", "siglip"),
    ("sigmoid los", "siglip"), ("sigmoid losss", "siglip"), ("streeming", "streaming"),
])  # fmt: skip
def test_a_slip_finds_what_was_meant(starter, asked: str, slug: str) -> None:
    assert slug in slugs(asked)


def test_it_says_what_was_searched_for_instead(client: Client, starter) -> None:
    text = BeautifulSoup(
        client.get("/search/?q=halucination").content, "html.parser"
    ).main.get_text()
    assert "for “hallucination”" in text
    assert "Nothing is spelled “halucination”" in text
    titles = BeautifulSoup(
        client.get("/research/papers/?q=halucination").content, "html.parser"
    ).select(".item__title")
    assert [t.get_text() for t in titles] == [
        "Evaluating Object Hallucination in Large Vision-Language Models"
    ]
    for nonsense in ("xyzzy", "qqqqqqqq", "zz", "!!", "%", "\\", "'\"<", "a" * 200, "日"):
        assert search_pages(nonsense)[1] == "", nonsense


@pytest.mark.parametrize("model", [
    HomePage, StandardPage, LegalPage, DocsSectionPage, DocsArticlePage, PapersPage, PaperPage, NotebookPage, DatasetPage,
    ReleasePage, RoadmapItemPage, ChallengePage,
])  # fmt: skip
def test_pages_of_every_kind_are_found_by_title_and_text(starter, model: Any) -> None:
    page = model.objects.live().first()
    assert page.pk in [hit.pk for hit in found(page.title)]
    assert found(page.title)[0].title == page.title
    page.title = "Wombat heading"
    page.search_description = "About the platypus."
    page.save_revision().publish()
    assert [hit.pk for hit in found("platypus")] == [page.pk]
    assert [hit.pk for hit in found("wombat heading")] == [page.pk]


def test_what_nobody_may_read_is_never_found(starter) -> None:
    page = paper("secret", "Aardvark numbers", doi="10.5555/aardvark", arxiv_id="2001.00001")
    queries = (
        "aardvark",
        "aard",
        "aardvrak",
        "10.5555/aardvark",
        "2001.00001",
        "arxiv:2001.00001v1",
        "Aardvark numbers",
    )
    assert all(slugs(query) == ["secret"] for query in queries)
    page.title = "Pangolin numbers"
    page.save_revision()
    assert slugs("pangolin") == []
    restriction = PageViewRestriction.objects.create(page=page, restriction_type="login")
    assert all("secret" not in slugs(query) for query in queries)
    restriction.delete()
    page.refresh_from_db()
    page.unpublish()
    assert all("secret" not in slugs(query) for query in queries)
    page.delete()
    assert all("secret" not in slugs(query) for query in queries)


def test_an_index_from_before_is_made_anew(starter) -> None:
    entries = Page.objects.get(slug="qlora").specific.index_entries
    entries.update(body_text="")
    assert "qlora" not in slugs("dettm")
    call_command("update_index", verbosity=0)
    assert "qlora" in slugs("dettm")


def test_text_is_folded_whatever_its_script() -> None:
    assert fold("Café ØDEGÅRD Straße 日本") == "cafe odegard strasse riben"
