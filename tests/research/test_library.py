"""Papers, notebooks, datasets, releases, roadmap, challenges: pages, exports, machine forms."""

import io
import itertools
import json
import re
import zipfile
from datetime import date
from types import SimpleNamespace
from typing import Any

import bibtexparser
import feedparser
import pytest
import rispy
import yaml
from bs4 import BeautifulSoup
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.utils.html import escape
from redis.exceptions import RedisError
from wagtail.models import Page, Site

from inference import page_cache
from inference.errors import catalogue
from research import citation, selectors
from research.models import (
    Announcement,
    ChallengePage,
    DatasetPage,
    DocsArticlePage,
    HomePage,
    Navigation,
    NotebookPage,
    PaperPage,
    PapersPage,
    ReleasePage,
    RoadmapItemPage,
)
from research.services import Execution, notebook_run_record
from research.starter import dev_split
from research.validators import validate_arxiv_id, validate_doi, validate_licence, validate_orcid

pytestmark = pytest.mark.django_db


def soup(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return BeautifulSoup(answer.getvalue(), "html.parser")


def every_address() -> list[str]:
    return [p.url for p in Page.objects.live().filter(depth__gt=1).exclude(slug="root") if p.url]


def test_every_published_page_answers_with_one_title_and_its_own_meta(client, starter) -> None:
    addresses = every_address()
    assert len(addresses) > 45
    for path in addresses:
        page = soup(client, path)
        assert len(page.find_all("h1")) == 1, path
        assert page.find("link", rel="canonical")["href"].endswith(path)
        assert page.find("meta", attrs={"name": "description"})["content"].strip(), path
        assert page.find("meta", property="og:image")["content"].endswith(".png")
        levels = [int(h.name[1]) for h in page.main.find_all(re.compile("^h[1-6]$"))]
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), (path, levels)


def test_no_internal_link_is_broken(client, starter) -> None:
    seen: set[str] = set()
    for path in every_address():
        page = soup(client, path)
        for link in page.find_all("a", href=True):
            target = link["href"]
            if target.startswith("#"):
                assert page.find(id=target[1:]), (path, target)
            elif target.startswith("/") and not target.startswith(("/admin/", "/media/")):
                address, _, anchor = target.partition("#")
                if target in seen:
                    continue
                seen.add(target)
                answer = client.get(address, follow=True)
                assert answer.status_code == 200, (path, target)
                if anchor and answer["Content-Type"] == "application/pdf":
                    assert anchor.startswith("page="), target
                elif anchor:
                    assert BeautifulSoup(answer.getvalue(), "html.parser").find(id=anchor), target
    assert any("#sec-" in target for target in seen)


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", 20), ("/research/", 24), ("/research/papers/", 17), ("/research/papers/qlora/", 21),
     ("/docs/", 9), ("/docs/guides/errors/", 14)],
)  # fmt: skip
def test_queries_cold_and_none_from_the_cache(
    client, starter, path: str, most: int, django_assert_max_num_queries, django_assert_num_queries
) -> None:
    client.get(path)  # what the process learns once (sites, content types), pictures made once
    page_cache.forget()
    with django_assert_max_num_queries(most):  # one of them: until when it may be kept
        first = client.get(path)
    with django_assert_num_queries(0):
        second = client.get(path)
    assert first.content == second.content
    assert client.get(path, headers={"If-None-Match": second["ETag"]}).status_code == 304


def test_publishing_empties_the_cache_and_editors_never_read_it(
    client, admin_client, starter
) -> None:
    page = PaperPage.objects.get(slug="qlora")
    assert "A new title" not in client.get(page.url).content.decode()
    page.title = "A new title"
    page.save_revision().publish()
    assert "A new title" in client.get(page.url).content.decode()
    Announcement.objects.create(site=page.get_site(), text="A short announcement")
    assert "A short announcement" in client.get(page.url).content.decode()
    assert "Set-Cookie" not in client.get("/")
    with connection.connection.cursor() as unseen:  # not by Django
        unseen.execute("UPDATE wagtailcore_page SET title = %s WHERE id = %s", ["Behind the cache's back", page.pk])  # fmt: skip
    assert "A new title" in client.get(page.url).content.decode()
    assert "Behind the cache" in admin_client.get(page.url).content.decode()


def test_bibtex_ris_csl_and_cff_say_the_same(client, starter) -> None:
    for paper in PaperPage.objects.live():
        texts = {form: client.get(f"{paper.url}cite/{form}/") for form in citation.FORMS}
        assert all(
            a.status_code == 200 and "attachment" in a["Content-Disposition"]
            for a in texts.values()
        )
        (bib,) = bibtexparser.loads(texts["bib"].content.decode()).entries
        (ris,) = rispy.loads(texts["ris"].content.decode())
        (csl,) = json.loads(texts["json"].content)
        cff = yaml.safe_load(texts["cff"].content)
        names = [a.name for a in paper.authors.all()]
        plain = re.sub(r"[{}\\]", "", bib["title"])
        assert plain == paper.title == ris["title"] == csl["title"] == cff["title"]
        assert re.sub(r"[{}\\]", "", bib["author"]).split(" and ") == names
        assert len(ris["authors"]) == len(csl["author"]) == len(cff["authors"]) == len(names)
        assert bib["year"] == str(paper.published_on.year)
        assert bib.get("eprint", "") == paper.arxiv_id
        assert bib.get("archiveprefix", "") == ("arXiv" if paper.arxiv_id else "")
        assert ris.get("doi", "") == csl.get("DOI", "") == paper.doi
        assert bib["ID"] == csl["id"] == citation.citation_key(paper)
    assert citation.citation_key(PaperPage.objects.get(slug="siglip")) == "zhai2023sigmoid"
    assert client.get("/research/papers/qlora/cite/exe/").status_code == 404


def test_bibtex_protects_capitals_and_escapes(starter) -> None:
    paper = PaperPage.objects.get(slug="qlora")
    paper.title = "LoRA & 100% of #1_x"
    assert r"{LoRA} \& 100\% of \#1\_x" in citation.bibtex(paper, "http://x/")


def test_scholar_tags_and_json_ld(client, starter) -> None:
    page = soup(client, "/research/papers/siglip/")
    tags = [
        (m["name"], m["content"])
        for m in page.find_all("meta", attrs={"name": re.compile("^citation_")})
    ]
    assert [v for k, v in tags if k == "citation_author"] == [
        "Xiaohua Zhai", "Basil Mustafa", "Alexander Kolesnikov", "Lucas Beyer",
    ]  # fmt: skip
    found = dict(tags)
    assert found["citation_title"].startswith("Sigmoid Loss")
    assert found["citation_publication_date"] == "2023/03/27"
    assert found["citation_arxiv_id"] == "2303.15343"
    assert found["citation_pdf_url"] == "https://arxiv.org/pdf/2303.15343"
    record = json.loads(page.find("script", type="application/ld+json").string)
    assert record["@type"] == "ScholarlyArticle"
    assert record["author"][0]["name"] == "Xiaohua Zhai"
    assert record["encoding"]["encodingFormat"] == "application/pdf"
    kinds = {
        path: json.loads(soup(client, path).find("script", type="application/ld+json").string)["@type"]
        for path in ("/", "/research/datasets/drawn-world/", "/research/notebooks/reproduce-a-figure/", "/docs/")
    }  # fmt: skip
    assert list(kinds.values()) == ["WebSite", "Dataset", "SoftwareSourceCode", "WebPage"]


def test_no_text_ends_the_json_ld_block(client, starter) -> None:
    paper = PaperPage.objects.get(slug="pope")
    paper.abstract = "</script><script>alert(1)</script>"
    paper.save_revision().publish()
    answer = client.get(paper.url).content.decode()
    assert "<script>alert(1)" not in answer
    block = soup(client, paper.url).find("script", type="application/ld+json")
    assert json.loads(block.string)["abstract"] == paper.abstract


def test_shelf_searches_filters_and_pages(client, starter, monkeypatch) -> None:
    def titles(query: str) -> list[str]:
        return [
            h.get_text() for h in soup(client, f"/research/papers/{query}").select(".item__title")
        ]

    everything = titles("")
    assert len(everything) == 12
    assert len(titles("?page=2")) == 7
    assert titles("?tag=quantisation") == [
        "QLoRA: Efficient Finetuning of Quantized LLMs",
        "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale",
    ]
    assert titles("?year=2014") == [
        "CIDEr: Consensus-based Image Description Evaluation",
        "A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU",
    ]
    assert titles("?q=hallucination") == [
        "Evaluating Object Hallucination in Large Vision-Language Models"
    ]
    assert titles("?q=Dettmers&tag=fine-tuning") == [
        "QLoRA: Efficient Finetuning of Quantized LLMs"
    ]
    assert titles("?q=zzz") == []
    # Nonsense in the address shows the list, not an error.
    assert titles("?year=abc&tag=nope&page=999") == titles("?page=2")
    assert client.get("/research/papers/?q=%27%22%3C").status_code == 200
    assert client.get("/research/papers/?q=%00%27%22%3C").status_code == 400


def test_a_paper_without_a_place_or_with_wrong_ids_is_refused(starter) -> None:
    paper = PaperPage(title="X", abstract="x", published_on=date(2026, 1, 1))
    with pytest.raises(ValidationError, match="arXiv id, a DOI"):
        paper.clean()
    paper.is_sample = True
    paper.clean()
    for check, good, bad in (
        (validate_doi, "10.48550/arXiv.2303.15343", "https://doi.org/10.1/x"),
        (validate_arxiv_id, "2303.15343v2", "arXiv:2303.15343"),
        (validate_orcid, "0000-0002-1825-0097", "0000-0002-1825-0098"),
        (validate_licence, "MIT OR Apache-2.0", "do what you want; really"),
    ):
        check(good)
        with pytest.raises(ValidationError):
            check(bad)


def test_roadmap_dates_must_follow_and_be_there() -> None:
    item = RoadmapItemPage(title="X", stage="alpha", research_on=date(2026, 2, 1))
    with pytest.raises(ValidationError, match="reached this stage"):
        item.clean()
    item.alpha_on = date(2026, 1, 1)
    with pytest.raises(ValidationError, match="follow one another"):
        item.clean()
    item.alpha_on = date(2026, 3, 1)
    item.clean()
    assert [label for label, _ in item.reached] == ["Research", "Alpha"]


def test_samples_are_labelled_wherever_they_are_shown(client, starter) -> None:
    challenge = ChallengePage.objects.get()
    assert challenge.is_sample
    for path in ("/", "/research/", "/research/challenges/", challenge.url):
        page = soup(client, path)
        assert "sample" in [c.get_text().split()[-1] for c in page.select(".chip")], path
    site = Site.objects.get()
    assert selectors.chrome(site).counts == {
        "papers": 19, "notebooks": 5, "datasets": 3, "leaderboards": 5
    }  # fmt: skip
    DatasetPage.objects.filter(slug="vqa-v2").update(is_sample=True)
    assert selectors.chrome(site).counts["datasets"] == 2


def test_release_is_tied_to_its_paper(client, starter) -> None:
    release = ReleasePage.objects.get(slug="moondream2-2025-04-14")
    assert release.paper.slug == "qlora"
    assert release.title in soup(client, "/research/papers/qlora/").find("aside").get_text()


@pytest.mark.parametrize("form", ["rss", "atom"])
def test_xml_feeds_are_well_formed_and_conditional(client, starter, form: str) -> None:
    answer = client.get(f"/feeds/all.{form}")
    feed = feedparser.parse(io.BytesIO(answer.content))
    assert not feed.bozo
    assert feed.version == {"rss": "rss20", "atom": "atom10"}[form]
    assert len(feed.entries) == 19 + 3 + 5 + 4 + 1
    assert len({e.id for e in feed.entries}) == len(feed.entries)
    assert all(e.link.startswith("http") and e.title for e in feed.entries)
    assert (
        client.get(f"/feeds/all.{form}", headers={"If-None-Match": answer["ETag"]}).status_code
        == 304
    )
    assert feedparser.parse(client.get(f"/feeds/releases.{form}").content).entries
    assert client.get(f"/feeds/nothing.{form}").status_code == 404


def test_json_feed(client, starter) -> None:
    feed = client.get("/feeds/papers.json")
    body = feed.json()
    assert feed["Content-Type"].startswith("application/feed+json")
    assert body["version"] == "https://jsonfeed.org/version/1.1"
    assert body["feed_url"].endswith("/feeds/papers.json")
    assert all(item["id"] and item["content_text"] for item in body["items"])


def test_sitemap_robots_and_llms(client, starter) -> None:
    sitemap = client.get("/sitemap.xml").content.decode()
    for path in ("/research/papers/qlora/", "/docs/start/quickstart/"):
        assert f"{path}</loc>" in sitemap
    assert "Sitemap: http://testserver/sitemap.xml" in client.get("/robots.txt").content.decode()
    llms = client.get("/llms.txt").content.decode()
    assert llms.startswith("# Moondream hub\n\n> ")
    for address in re.findall(r"\((http://testserver/[^)]+\.md)\)", llms)[:8]:
        assert client.get(address).status_code == 200


def test_pages_as_markdown(client, starter) -> None:
    answer = client.get("/docs/start/quickstart.md")
    text = answer.content.decode()
    assert answer["Content-Type"].startswith("text/markdown")
    assert text.startswith("# Quickstart")
    assert "```" in text
    assert 'md.vl(endpoint="http://testserver/v1")' in text
    assert "](http://testserver/docs/guides/skills/)" in text
    assert "<script" not in text
    assert client.get("/docs/nothing.md").status_code == 404
    assert "# Ask an image" in client.get("/index.md").content.decode()
    DocsArticlePage.objects.get(slug="skills").unpublish()
    assert client.get("/docs/guides/skills.md").status_code == 404


def test_social_card_is_a_picture_of_the_title(client, starter) -> None:
    from PIL import Image

    page = PaperPage.objects.get(slug="siglip")
    answer = client.get(f"/og/{page.pk}.png")
    assert Image.open(io.BytesIO(answer.content)).size == (1200, 630)
    other = client.get(f"/og/{HomePage.objects.get().pk}.png")
    assert answer.content != other.content
    page.unpublish()
    assert client.get(f"/og/{page.pk}.png").status_code == 404


def test_search_finds_papers_articles_and_says_when_nothing_is_there(client, starter) -> None:
    def titles(query: str) -> list[str]:
        return [h.get_text() for h in soup(client, f"/search/?q={query}").select(".item__title")]

    assert "QLoRA: Efficient Finetuning of Quantized LLMs" in titles("NormalFloat")
    assert "Streaming" in titles("streaming")
    assert titles("xyzzy") == []
    assert "Nothing is found" in soup(client, "/search/?q=xyzzy").get_text()
    assert soup(client, "/search/").find("input", id="search-q")
    Page.objects.get(slug="streaming").unpublish()
    assert "Streaming" not in titles("streaming")


def test_dev_split_is_the_same_file_every_time_and_true(starter) -> None:
    raw = dev_split(8)
    assert raw == dev_split(8)
    archive = zipfile.ZipFile(io.BytesIO(raw))
    lines = [json.loads(line) for line in archive.read("scenes.jsonl").splitlines()]
    assert [line["domain"] for line in lines[:4]] == ["shapes", "shelf", "plate", "phantom"]
    assert {line["image"] for line in lines} <= set(archive.namelist())
    assert all(len(o["box"]) == 4 for line in lines for o in line["objects"])


def test_the_error_catalogue_is_a_page(client, starter) -> None:
    text = client.get("/docs/guides/errors/").content.decode()
    for kind in catalogue():
        row = text.partition(f'id="error-{kind.code}"')[2].partition("</tr>")[0]
        assert f'<td class="mono">{kind.status}</td>' in row, kind.code
        assert escape(kind.title) in row


def test_runs_of_notebooks_are_noted_on_their_page(client, starter) -> None:
    page = NotebookPage.objects.get(slug="reproduce-a-figure")
    assert "Not run on this server yet" in client.get(page.url).content.decode()
    notebook_run_record(Execution(page.source_path, b"{}", 12.3, commit="c0ffee1234567"))
    text = client.get(page.url).content.decode()
    assert "Ran from top to bottom" in text
    assert "c0ffee1234" in text
    notebook_run_record(Execution(page.source_path, b"{}", 3.0, error="NameError: x"))
    assert "Its last run failed" in client.get(page.url).content.decode()
    assert notebook_run_record(Execution("notebooks/other.ipynb", b"{}", 1.0)) == []


def test_colab_and_binder_appear_once_the_repository_is_named(client, starter) -> None:
    page = NotebookPage.objects.get(slug="deploy-to-the-edge")
    assert (
        "colab"
        not in client.get(page.url).content.decode().lower().split("<main")[1].split("%pip")[0]
    )
    navigation = Navigation.objects.first()
    navigation.source_repository, navigation.source_ref = "acme/hub", "v1.0"
    navigation.save()
    links = [a["href"] for a in soup(client, page.url).main.find_all("a", href=True)]
    assert (
        "https://colab.research.google.com/github/acme/hub/blob/v1.0/notebooks/deploy_to_the_edge.ipynb"
        in links
    )
    assert (
        "https://mybinder.org/v2/gh/acme/hub/v1.0?labpath=notebooks%2Fdeploy_to_the_edge.ipynb"
        in links
    )


def test_papers_shelf_lists_only_its_own(starter) -> None:
    shelf: Any = PapersPage.objects.get()
    assert {type(p.specific) for p in shelf.get_children()} == {PaperPage}


def test_addresses_that_anybody_can_make_up_are_not_kept(
    client, starter, django_assert_num_queries
) -> None:
    client.get("/research/papers/?tag=quantisation")
    with django_assert_num_queries(0):
        client.get("/research/papers/?tag=quantisation")
    for query in ("?q=lora", "?utm_source=x", f"?page={'9' * 10}"):
        assert "ETag" not in client.get(f"/research/papers/{query}")


def test_publishing_and_reading_go_on_when_the_page_cache_fails(
    client, starter, monkeypatch
) -> None:
    def gone(*args: Any, **kwargs: Any) -> None:
        raise RedisError

    monkeypatch.setattr(
        "inference.page_cache.cache", SimpleNamespace(get_many=gone, get=gone, set=gone, add=gone)
    )
    assert client.get("/licences/").status_code == 200
    page_cache.forget()


def test_a_page_under_a_restriction_is_shown_to_nobody_else(client, admin_client, starter) -> None:
    """What our own query of restrictions must keep of Wagtail's: those above, and an alias's source."""
    from wagtail.models import Page, PageViewRestriction

    page = PaperPage.objects.get(slug="qlora")
    alias = page.create_alias(parent=Page.objects.get(slug="research"), update_slug="qlora-alias")
    addresses = (page.url, alias.url)
    assert [client.get(a).status_code for a in addresses] == [200, 200]
    for restricted in (page.get_parent(), page):
        rule = PageViewRestriction.objects.create(page=restricted, restriction_type="login")
        page_cache.forget()
        hidden = [page] if restricted != page else [page, alias]
        for one in hidden:
            assert set(one.specific.get_view_restrictions()) == set(Page.get_view_restrictions(one))
            assert client.get(one.url).status_code == 302
            assert admin_client.get(one.url).status_code == 200
            assert client.get(one.url).status_code == 302  # the admin's page was not kept for all
        rule.delete()
