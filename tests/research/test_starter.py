"""Starter content on a site that has some: newer texts come to what nobody touched, and to nothing else."""

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from wagtail.models import Page, Site

from research import starter as content
from research.models import (
    DocsArticlePage,
    HomePage,
    Navigation,
    NotebookPage,
    PaperPage,
    RoadmapItemPage,
    StarterText,
)
from research.starter import docs, news, site, starter_load
from research.starter.loading import Loaded

pytestmark = pytest.mark.django_db
CARD = news.ROADMAP[0]["slug"]


def load() -> Loaded:
    return starter_load(base_url="http://testserver", dev_scenes=8)


@pytest.fixture
def newer(starter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of this project whose first roadmap card says something else."""
    cards = [{**card, "lede": "A newer sentence."} if n == 0 else card for n, card in enumerate(news.ROADMAP)]  # fmt: skip
    monkeypatch.setattr(news, "ROADMAP", cards)


@pytest.fixture
def card(starter: Any) -> RoadmapItemPage:
    return RoadmapItemPage.objects.get(slug=CARD)


def test_a_page_nobody_touched_gets_the_newer_text(
    card: RoadmapItemPage, newer: None, client: Any
) -> None:
    assert "A newer sentence." not in client.get(card.url).content.decode()
    assert load() == Loaded(corrected=[card.title])
    card.refresh_from_db()
    assert card.lede == "A newer sentence."
    assert card.get_latest_revision_as_object().lede == "A newer sentence."
    assert "A newer sentence." in client.get(card.url).content.decode()
    assert load() == Loaded()


@pytest.mark.parametrize("how", ["published", "draft", "locked", "unpublished", "by a script"])
def test_a_page_somebody_touched_is_left_and_named_once(
    card: RoadmapItemPage, admin_user: Any, newer: None, how: str
) -> None:
    before = card.lede
    if how == "by a script":
        RoadmapItemPage.objects.filter(pk=card.pk).update(title="Somebody's title")
    elif how == "locked":
        Page.objects.filter(pk=card.pk).update(locked=True)
    elif how == "unpublished":
        card.unpublish(user=admin_user)
    else:
        card.title = "Somebody's title"
        revision = card.save_revision(user=admin_user)
        if how == "published":
            revision.publish(user=admin_user)
    card.refresh_from_db()
    assert load() == Loaded(left=[card.title])
    card.refresh_from_db()
    assert card.lede == before
    assert card.live is (how != "unpublished")
    assert load() == Loaded()


def test_what_an_editor_wrote_of_other_words_stays_when_the_text_is_the_same(
    card: RoadmapItemPage, admin_user: Any
) -> None:
    card.lede = "Ours."
    card.save_revision(user=admin_user).publish()
    assert load() == Loaded()
    card.refresh_from_db()
    assert card.lede == "Ours."


@pytest.mark.parametrize("is_touched", [True, False])
def test_a_site_of_before_texts_were_noted(
    card: RoadmapItemPage, admin_user: Any, newer: None, is_touched: bool
) -> None:
    StarterText.objects.all().delete()
    if is_touched:
        card.save_revision(user=admin_user).publish()
    assert load().corrected == ([] if is_touched else [card.title])
    card.refresh_from_db()
    assert (card.lede == "A newer sentence.") is not is_touched


def test_a_page_an_editor_moved_is_not_made_again(
    card: RoadmapItemPage, admin_user: Any, newer: None
) -> None:
    card.slug = "somewhere-else"
    card.save_revision(user=admin_user).publish()
    assert load().made == []
    assert RoadmapItemPage.objects.filter(lede="A newer sentence.").count() == 0


def test_bodies_sections_tags_and_files_are_texts_too(
    starter: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    chapter = {**docs.CHAPTERS[0]}
    first = {**chapter["articles"][0], "body": [("prose", "<p>A newer body.</p>")]}
    monkeypatch.setattr(docs, "CHAPTERS", [{**chapter, "articles": [first]}])
    papers = json.loads((content.HERE / "papers.json").read_text())
    papers[0] |= {"tags": ["newer tag"], "authors": ["Ada Lovelace", "Grace Hopper"],
                  "sections": [{"anchor": "newer", "title": "Newer", "text": "<p>A newer section.</p>"}]}  # fmt: skip
    (tmp_path / "papers.json").write_text(json.dumps(papers))
    monkeypatch.setattr(content, "HERE", tmp_path)
    monkeypatch.setattr(content, "_own_picture", lambda _: None)
    monkeypatch.setattr(news, "ROADMAP", [])
    monkeypatch.setattr(site, "HOME_BODY", [("prose", {"text": "<p>A newer home.</p>"})])
    book = NotebookPage.objects.first()
    books = tmp_path / "notebooks"
    books.mkdir()
    source = json.loads((content.NOTEBOOKS / book.source_path.split("/")[1]).read_text())
    source["cells"] = source["cells"][:1]
    (books / book.source_path.split("/")[1]).write_text(json.dumps(source))
    monkeypatch.setattr(content, "NOTEBOOKS", books)

    loaded = load()
    article = DocsArticlePage.objects.get(slug=first["slug"])
    paper = PaperPage.objects.get(slug=papers[0]["slug"])
    assert loaded.made == loaded.left == []
    assert set(loaded.corrected) == {"Moondream hub", paper.title, book.title, article.title}
    assert "A newer body." in str(article.body)
    assert [a.name for a in paper.authors.all()] == ["Ada Lovelace", "Grace Hopper"]
    assert [s.title for s in paper.sections.all()] == ["Newer"]
    assert list(paper.tags.names()) == ["newer tag"]
    assert "A newer home." in str(HomePage.objects.get().body)
    book.refresh_from_db()
    assert len(json.loads(book.file.read())["cells"]) == 1
    assert load() == Loaded()

    # What a script or an editor's upload put in the file's place is left.
    own = {**source, "metadata": {**source["metadata"], "own": True}}
    book.file.save("own.ipynb", ContentFile(json.dumps(own).encode()))
    (books / book.source_path.split("/")[1]).write_text(json.dumps({**source, "cells": []}))
    assert load() == Loaded(left=[book.title])


@pytest.mark.parametrize("is_touched", [True, False])
def test_the_navigation_likewise(
    starter: Any, monkeypatch: pytest.MonkeyPatch, admin_user: Any, is_touched: bool
) -> None:
    navigation = Navigation.for_site(Site.objects.get(is_default_site=True))
    if is_touched:
        navigation.save_revision(user=admin_user).publish()
    label, url, place = site.NAVIGATION[0]
    monkeypatch.setattr(site, "NAVIGATION", [(f"New {label}", url, place), *site.NAVIGATION[1:]])
    loaded = load()
    assert (loaded.corrected, loaded.left) == (([], ["Navigation"]) if is_touched else (["Navigation"], []))  # fmt: skip
    links = navigation.links.values_list("label", flat=True)
    assert (f"New {label}" in links) is not is_touched
    assert len(links) == len(site.NAVIGATION)
    assert load() == Loaded()


def test_the_command_says_what_it_did(
    card: RoadmapItemPage, newer: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("load_starter", "--dev-scenes", "8")
    assert f"they are newer now: {card.title}." in capsys.readouterr().out
