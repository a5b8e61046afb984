"""Papers know their leaderboards, and leaderboards their papers."""

import re
from html import unescape
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.core.exceptions import ValidationError
from django.utils import timezone

from inference import page_cache
from leaderboard.models import Benchmark, Entry, ReportedFigure, Submission, Team
from leaderboard.signals import entries_changed
from research.models import PaperBoard, PaperPage
from research.starter import starter_load

pytestmark = pytest.mark.django_db
OURS = "/research/papers/embedded-model/"


def leads(slug: str, name: str, value: float) -> None:
    benchmark = Benchmark.objects.get(slug=slug)
    submission = Submission.objects.create(
        split=benchmark.splits.get(ranks=True), model_name=name, status="scored",
        team=Team.objects.get_or_create(name="a team")[0], file="none", file_sha256="0",
    )  # fmt: skip
    Entry.objects.create(
        benchmark=benchmark, submission=submission, provenance="verified", model_name=name,
        team_name="a team", score=value, rank=1, scored_at=timezone.now(),
        figures={benchmark.ranked_by.slug: {"value": value, "low": value, "high": value}},
    )  # fmt: skip
    entries_changed.send(sender=None, benchmark=benchmark)


def side(client: Any, path: str) -> str:
    found = BeautifulSoup(client.get(path).content, "html.parser").select_one(".paper__boards")
    return " ".join(found.get_text(" ").split()) if found else ""


def test_our_report_shows_who_leads_its_five_leaderboards(client, starter) -> None:
    before = side(client, OURS)
    assert before.count("No entry yet.") == 5
    leads("world-vqa", "Model A", 0.5)
    leads("world-vqa", "Model B", 0.75)
    after = side(client, OURS)
    assert "World VQA Model B leads: Exact match 75.0 % ✓ verified" in after
    assert after.count("No entry yet.") == 4
    assert "Model A" not in after


def test_reported_figures_name_their_own_source(client, starter) -> None:
    text = side(client, "/research/papers/vqa-v2/")
    best = ReportedFigure.objects.filter(benchmark="TextVQA").order_by("-value")[0]
    assert f"{best.model} leads: VQA accuracy {best.value:g} %" in text
    assert best.source in text
    assert "reported" in text


def test_a_board_names_its_papers_and_the_links_go_both_ways(client, starter) -> None:
    board = unescape(client.get("/leaderboards/world-captions/").content.decode())
    titles = PaperPage.objects.filter(boards__benchmark__slug="world-captions")
    assert {p.slug for p in titles} == {"embedded-model", "cider", "coco-captions"}
    for paper in titles:
        assert f'href="{paper.url}">{paper.title}' in board
        assert 'href="/leaderboards/world-captions/"' in client.get(paper.url).content.decode()
    titles[0].unpublish()
    again = unescape(client.get("/leaderboards/world-captions/").content.decode())
    assert titles[0].title not in re.sub(r"<title>.*?</title>", "", again)


def test_pages_stay_few_queries(client, starter, django_assert_max_num_queries) -> None:
    leads("world-vqa", "Model A", 0.5)
    for path, most in ((OURS, 24), ("/research/papers/vqa-v2/", 22), ("/leaderboards/world-vqa/", 14)):  # fmt: skip
        client.get(path)
        page_cache.forget()
        with django_assert_max_num_queries(most):
            client.get(path)


def test_hidden_boards_and_figures_are_left_out(client, starter) -> None:
    Benchmark.objects.filter(slug="world-vqa").update(is_shown=False)
    ReportedFigure.objects.filter(benchmark="TextVQA").update(is_shown=False)
    page_cache.forget()
    assert "World VQA" not in side(client, OURS)
    assert side(client, "/research/papers/vqa-v2/") == ""


def test_one_of_both_is_named(starter) -> None:
    paper = PaperPage.objects.get(slug="pope")
    board = Benchmark.objects.get(slug="world-vqa")
    PaperBoard(paper=paper, benchmark=board).clean()
    PaperBoard(paper=paper, reported="DocVQA").clean()
    for wrong in ({}, {"benchmark": board, "reported": "DocVQA"}, {"reported": "Nothing"}):
        with pytest.raises(ValidationError):
            PaperBoard(paper=paper, **wrong).clean()


def test_the_starter_fills_untouched_papers_alone(starter, admin_user) -> None:
    cider, pope = (PaperPage.objects.get(slug=slug) for slug in ("cider", "pope"))
    for page in (cider, pope):
        page.boards.set([])
        page.save()
    pope.save_revision(user=admin_user).publish()
    starter_load(base_url="http://testserver", dev_scenes=8)
    assert [b.benchmark.slug for b in PaperPage.objects.get(pk=cider.pk).boards.all()] == ["world-captions"]  # fmt: skip
    assert cider.get_latest_revision_as_object().boards.count() == 1
    assert not PaperPage.objects.get(pk=pope.pk).boards.exists()
