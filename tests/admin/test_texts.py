"""Words around the pages, which editors change; what a page costs stays what it was."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from wagtail.models import Site

from inference import page_cache
from inference.models import VariantMeasurement
from leaderboard.models import Benchmark, LogLine
from research.models import (
    ChallengePage,
    DatasetPage,
    DocsArticlePage,
    NavigationLink,
    NotebookPage,
    PaperPage,
    PapersPage,
    ReleasePage,
    RoadmapItemPage,
    SiteTexts,
)
from status.models import CheckResult

pytestmark = pytest.mark.django_db
SENT = {
    "description": "A description of our own.", "call_label": "Begin", "call_url": "/docs/",
    "not_found_title": "Gone fishing.", "not_found_text": "Come back later.",
    "leaderboards_title": "Scores & ranks.", "leaderboards_lead": "A lead of our own.",
    "playground_title": "Show it a picture.", "playground_lead": "A sentence before.",
    **{f.name: f.default for f in SiteTexts._meta.fields if f.name.startswith("no_")},
    "no_results": "Another word?", "no_prompts": "Nothing like it.", "no_results_title": "Not here",
    "no_pages_title": "An <empty> shelf", "no_prompts_title": "No such prompt",
}  # fmt: skip


def settings_page() -> str:
    site = Site.objects.get(is_default_site=True)
    return reverse("wagtailsettings:edit", args=["research", "sitetexts", site.pk])


def test_without_a_change_pages_say_what_they_begin_with(starter, client: Client) -> None:
    assert not SiteTexts.objects.exists()
    home = client.get("/no-such-page/").content.decode()
    assert '<meta name="description" content="Try, measure and tune' in home
    assert "data-open-playground>Try in Browser</a>" in home
    assert "Numbers anyone can reproduce." in client.get("/leaderboards/").content.decode()
    assert "Nothing at this address." in client.get("/no-such-page/").content.decode()
    assert not SiteTexts.objects.exists()  # reading writes nothing


def test_an_editor_changes_them_and_kept_pages_follow(
    starter, client: Client, member: Callable[[str], Client]
) -> None:
    before = client.get("/docs/").content.decode()  # kept from now on
    assert "Try in Browser" in before
    answer = member("Moderators").post(settings_page(), SENT)
    assert answer.status_code == 302
    page = client.get("/docs/").content.decode()
    assert '<a class="button button--primary button--small" href="/docs/">Begin</a>' in page
    boards = client.get("/leaderboards/").content.decode()
    assert "Scores &amp; ranks." in boards
    assert "A lead of our own." in boards
    assert "Show it a picture." in client.get("/playground/").content.decode()
    assert "A sentence before." in client.get("/playground/").content.decode()
    missing = client.get("/no-such-page/")
    assert missing.status_code == 404
    assert "A description of our own." in missing.content.decode()
    assert "Gone fishing." in missing.content.decode()
    found = client.get("/search/?q=qqqqzzzz").content.decode()
    assert "<h2>Not here</h2><p>Another word?</p>" in found
    prompts = client.get("/playground/prompts/?q=qqqqzzzz").content.decode()
    assert "<h2>No such prompt</h2><p>Nothing like it.</p>" in prompts
    shelf = client.get("/research/papers/?q=qqqqzzzz").content.decode()
    assert "<h2>An &lt;empty&gt; shelf</h2>" in shelf
    NavigationLink.objects.all().delete()  # a header without links has its call still
    assert "Begin</a>" in client.get("/status/").content.decode()


def test_they_cost_no_query(starter, client: Client, member: Callable[[str], Client]) -> None:
    def queries() -> int:
        page_cache.forget()
        with CaptureQueriesContext(connection) as caught:
            client.get("/status/")
        return len(caught)

    queries()
    before = queries()
    assert before
    member("Moderators").post(settings_page(), SENT)
    queries()
    assert queries() == before


def test_what_is_no_link_is_refused(starter, member: Callable[[str], Client]) -> None:
    answer = member("Moderators").post(settings_page(), SENT | {"call_url": "javascript:alert(1)"})
    assert "Begin with / for a page" in answer.content.decode()
    assert not SiteTexts.objects.filter(call_url__startswith="java").exists()


def test_the_site_has_one_name_everywhere(starter, client: Client) -> None:
    site = Site.objects.get(is_default_site=True)
    assert "<title>Everything new" not in client.get("/").content.decode()
    client.get("/")
    site.site_name = "Our <lab>"
    site.save()
    home = client.get("/").content.decode()
    assert "· Our &lt;lab&gt;</title>" in home
    assert '"name": "Our \\u003clab>"' in home
    for form in ("rss", "atom"):
        assert (
            "Our &lt;lab&gt;: everything new" in client.get(f"/feeds/all.{form}").content.decode()
        )
    assert client.get("/feeds/all.json").json()["title"] == "Our <lab>: everything new"


def test_a_shelf_says_what_its_editor_wrote(starter, client: Client) -> None:
    shelf = PapersPage.objects.first()
    nothing = f"{shelf.url}?q=qqqqzzzz"
    assert PapersPage.empty in client.get(nothing).content.decode()
    shelf.empty_text = "Ask us to add it."
    shelf.save_revision().publish()
    assert "Ask us to add it." in client.get(nothing).content.decode()


def test_a_tag_is_renamed_everywhere_at_once(
    starter, client: Client, member: Callable[[str], Client]
) -> None:
    tag = PaperPage.tags.through.objects.first().tag
    shelf = PapersPage.objects.first()
    assert tag.name in client.get(shelf.url).content.decode()
    edit = reverse("wagtailsnippets_taggit_tag:edit", args=[tag.pk])
    assert member("Editors").post(edit, {"name": "of-an-editor"}).status_code == 302
    assert member("Moderators").post(edit, {"name": "renamed-tag"}).status_code == 302
    page = client.get(shelf.url).content.decode()
    assert "renamed-tag" in page
    assert "of-an-editor" not in page


EMPTY = {
    "no_papers": "/research/", "no_notebooks": "/research/", "no_datasets": "/research/",
    "no_challenges": "/research/", "no_releases": "/research/", "no_cards": "/research/roadmap/",
    "no_articles": "/docs/editing/", "no_log": "/leaderboards/world-vqa/log/", "no_first": "/leaderboards/",
    "no_public": "/leaderboards/world-vqa/public/", "no_fitting": "/leaderboards/world-vqa/?q=qqqqzzzz",
    "no_submissions": "/account/", "no_keys": "/account/keys/", "no_proposals": "/playground/prompts/propose/",
    "no_checks": "/status/", "no_measurements": "/", "no_leaderboards": "/leaderboards/",
}  # fmt: skip


def emptied() -> None:
    """Nothing of what lists show."""
    for model in (
        PaperPage,
        NotebookPage,
        DatasetPage,
        ChallengePage,
        ReleasePage,
        RoadmapItemPage,
        DocsArticlePage,
    ):
        for page in model._default_manager.all():
            page.delete()
    CheckResult.objects.all().delete()
    VariantMeasurement.objects.all().delete()
    LogLine.objects.all().delete()
    page_cache.forget()


def test_every_empty_list_says_what_a_moderator_wrote(
    starter, client: Client, member: Callable[[str], Client]
) -> None:
    every = {f.name: f.default for f in SiteTexts._meta.fields if f.name.startswith("no_")}
    headings = {name for name in every if name.endswith("_title")}
    fields = {name: text for name, text in every.items() if name not in headings}
    headed = {name.removesuffix("_title") for name in headings} & set(EMPTY)
    fitted = {
        "no_results",
        "no_entries",
        "no_prompts",
        "no_answers",
        "no_ranking",
    }  # tried elsewhere
    assert set(fields) == set(EMPTY) | fitted
    emptied()
    client.force_login(get_user_model().objects.create_user("ada", "ada@example.org", "pw"))

    def shown() -> dict[str, str]:
        return {name: client.get(path).content.decode() for name, path in EMPTY.items() if name != "no_leaderboards"}  # fmt: skip

    before = shown()
    for name, text in before.items():
        assert fields[name] in text, name
        assert name not in headed or every[f"{name}_title"] in text, name
    changed = {name: f"Own words of {name}" for name in every}
    assert member("Moderators").post(settings_page(), SENT | changed).status_code == 302
    for name, text in shown().items():
        assert changed[name] in text, name
        assert fields[name] not in text, name
        assert name not in headed or changed[f"{name}_title"] in text, name
    Benchmark.objects.update(is_shown=False)
    assert changed["no_leaderboards"] in client.get("/leaderboards/").content.decode()
