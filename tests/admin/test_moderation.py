"""What editors save of menus, announcements and challenges is a draft until a moderator publishes it."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from wagtail.models import Revision, Site, WorkflowState

from leaderboard import services
from leaderboard.models import Challenge, Phase, sealed_by
from research import tasks
from research.models import Announcement, ChallengePage, Navigation
from tests.leaderboard.conftest import challenge as challenge  # a fixture
from tests.leaderboard.conftest import in_last_phase, join, over, submit
from tests.leaderboard.conftest import split as split
from tests.leaderboard.conftest import user as user

pytestmark = pytest.mark.django_db
SITE = {"links-TOTAL_FORMS": 1, "links-INITIAL_FORMS": 0, "links-MIN_NUM_FORMS": 0, "links-MAX_NUM_FORMS": 99,
        "links-0-label": "Xylophone", "links-0-url": "/xylophone/", "links-0-place": "header", "links-0-ORDER": 1,
        "footer_text": "Xylophone footer", "source_ref": "main"}  # fmt: skip
PUBLISH, SUBMIT = {"action-publish": "x"}, {"action-submit": "x"}


def edit(row: Any) -> str:
    return reverse(row.snippet_viewset.get_url_name("edit"), args=[row.pk])


@pytest.fixture
def approved(member: Callable[[str], Client]) -> Callable[[Any], None]:
    """A moderator approves what was submitted."""
    return lambda row: _approved(row, member)


def _approved(row: Any, member: Callable[[str], Client]) -> None:
    member("Moderators")
    state = WorkflowState.objects.get(
        object_id=str(row.pk), status=WorkflowState.STATUS_IN_PROGRESS
    )
    state.current_task_state.approve(user=get_user_model().objects.get(username="moderators"))


def test_the_menu_and_the_footer_change_when_a_moderator_publishes(
    client: Client, starter: Any, member: Any, approved: Any
) -> None:
    navigation = Navigation.objects.get()
    sent = {**SITE, "site": navigation.site_id}
    editor = member("Editors")
    for action in ({}, PUBLISH, SUBMIT):
        assert editor.post(edit(navigation), {**sent, **action}).status_code == 302, action
        for path in ("/", "/leaderboards/", "/status/", "/docs/"):
            assert "ylophone" not in client.get(path).content.decode(), (path, action)
    approved(navigation)
    for path in ("/", "/leaderboards/", "/status/"):
        text = client.get(path).content.decode()
        assert "Xylophone footer" in text
        assert 'href="/xylophone/"' in text


def test_an_announcement_is_shown_when_a_moderator_publishes_it_and_while_its_time_is(
    client: Client, starter: Any, member: Any, approved: Any
) -> None:
    site = Site.objects.get(is_default_site=True)
    add = reverse(Announcement.snippet_viewset.get_url_name("add"))
    sent = {"site": site.pk, "text": "Xylophone concert", "link": ""}
    editor = member("Editors")
    for action in ({}, PUBLISH, SUBMIT):
        assert editor.post(add, {**sent, **action}).status_code == 302
        assert "Xylophone" not in client.get("/").content.decode(), action
    assert not Announcement.objects.filter(live=True).exists()
    made = Announcement.objects.first()
    approved(made)
    assert "Xylophone" in client.get("/").content.decode()
    assert "Xylophone" in client.get("/leaderboards/").content.decode()
    # It ends without anything being written, and without the task that unpublishes it.
    Announcement.objects.filter(pk=made.pk).update(expire_at=timezone.now() - timedelta(seconds=1))
    assert "Xylophone" not in client.get("/").content.decode()


def test_an_announcement_begins_at_its_time(client: Client, starter: Any) -> None:
    site, later = Site.objects.get(is_default_site=True), timezone.now() + timedelta(hours=1)
    made = Announcement(site=site, text="Xylophone", live=False, go_live_at=later)
    made.save()
    made.save_revision().publish()
    assert "Xylophone" not in client.get("/").content.decode()
    for revision in Revision.objects.filter(
        object_id=str(made.pk), approved_go_live_at__isnull=False
    ):
        revision.approved_go_live_at = timezone.now() - timedelta(minutes=1)
        revision.content["go_live_at"] = revision.approved_go_live_at.isoformat()
        revision.save()
    tasks.publish_scheduled()
    assert "Xylophone" in client.get("/").content.decode()
    newer = Announcement.objects.create(site=site, text="Quartz", last_published_at=timezone.now())
    text = client.get("/").content.decode()
    assert "Quartz" in text
    assert "Xylophone" not in text
    newer.unpublish()
    assert "Xylophone" in client.get("/").content.decode()


def form(row: Challenge, **more: Any) -> dict[str, Any]:
    """A challenge's edit form as it stands, with changes."""
    day, phases = "%Y-%m-%d %H:%M:%S", list(row.phases.all())
    sent = {
        "title": row.title, "slug": row.slug, "summary": row.summary, "benchmark": row.benchmark_id,
        "is_shown": "on", "team_size": row.team_size, "freeze_at": "",
        "opens_at": row.opens_at.strftime(day), "phases-TOTAL_FORMS": len(phases),
        "closes_at": (row.closes_at + timedelta(days=1)).strftime(day),
        "phases-INITIAL_FORMS": len(phases), "phases-MIN_NUM_FORMS": 1, "phases-MAX_NUM_FORMS": 99,
    }  # fmt: skip
    for number, phase in enumerate(phases):
        own = {
            "id": phase.pk, "name": phase.name, "split": phase.split_id, "feedback": phase.feedback,
            "starts_at": (phase.starts_at + timedelta(seconds=1)).strftime(day), "daily_limit": "",
            "ends_at": phase.ends_at.strftime(day), "total_limit": "",
        }  # fmt: skip
        sent |= {f"phases-{number}-{name}": value for name, value in own.items()}
    return sent | more


def test_a_challenge_changes_when_a_moderator_publishes(
    client: Client, starter: Any, challenge: Challenge, member: Any, approved: Any
) -> None:
    editor, here = member("Editors"), challenge.get_absolute_url()
    before = challenge.benchmark.table_state.generation
    for action in ({}, PUBLISH, SUBMIT):
        answer = editor.post(edit(challenge), form(challenge, title="Xylophone", **action))
        assert answer.status_code == 302, answer.content.decode()
        for path in (here, "/api/challenges", "/research/challenges/", "/"):
            assert "Xylophone" not in client.get(path).content.decode(), (path, action)
    challenge.refresh_from_db()
    assert challenge.title == "Hues"
    assert challenge.benchmark.table_state.generation == before
    approved(challenge)
    assert "Xylophone" in client.get(here).content.decode()
    assert "Xylophone" in client.get("/api/challenges").content.decode()
    challenge.benchmark.table_state.refresh_from_db()
    assert challenge.benchmark.table_state.generation > before


def test_a_challenge_that_is_a_draft_is_nowhere_and_shuts_nothing(
    client: Client, starter: Any, challenge: Challenge, split: Any, member: Any, approved: Any
) -> None:
    """Who may not publish cannot take a table away by a sealed phase that they only saved."""
    address = reverse(Challenge.snippet_viewset.get_url_name("add"))
    sent = form(challenge, slug="xylophone", title="Xylophone")
    sent |= {
        "phases-INITIAL_FORMS": 0,
        "phases-0-id": "",
        "phases-1-id": "",
        "phases-1-feedback": "sealed",
    }
    challenge.delete()
    for name, action in (("publish", PUBLISH), ("submit", SUBMIT)):
        answer = member("Editors").post(address, {**sent, **action, "slug": f"xylophone-{name}"})
        assert answer.status_code == 302, answer.content.decode()
    made = Challenge.objects.filter(slug__startswith="xylophone")
    assert [c.live for c in made] == [False, False]
    assert Phase.objects.filter(challenge__in=made, feedback="sealed").exists()
    for path in ("/api/challenges", "/research/challenges/", *(c.get_absolute_url() for c in made),
                 *(f"/api/challenges/{c.slug}" for c in made)):  # fmt: skip
        assert "Xylophone" not in client.get(path).content.decode(), path
    assert all(client.get(c.get_absolute_url()).status_code == 404 for c in made)
    page = ChallengePage.objects.first()
    page.challenge = made[0]
    page.save_revision().publish()
    told = client.get(page.url).content.decode()
    assert made[0].get_absolute_url() not in told
    assert "phases-title" not in told
    assert sealed_by(split) is None
    assert services.publish_refusal(split) == ""
    approved(made.filter(slug__endswith="submit").get())
    assert sealed_by(split) is not None
    Challenge.objects.get(slug__endswith="submit").unpublish()
    assert sealed_by(split) is not None, "unpublishing tells nothing of what was sealed"


def test_what_was_settled_after_a_draft_was_saved_stays_settled(
    starter: Any, challenge: Challenge, user: Any
) -> None:
    draft = Challenge.objects.get(pk=challenge.pk)
    draft.title = "Xylophone"
    draft.phases.set(list(draft.phases.all())[:1])
    revision = draft.save_revision()
    join(challenge, user)
    submit(challenge, user, when=in_last_phase(challenge), right=3)
    over(challenge)
    services.final_publish(challenge=challenge, by=user)
    Challenge.objects.filter(pk=challenge.pk).update(page_url="/research/challenges/hues/")
    revision.publish()
    challenge.refresh_from_db()
    assert challenge.title == "Xylophone"
    assert challenge.published_at is not None
    assert challenge.page_url == "/research/challenges/hues/"
    assert {p.name for p in Phase.objects.filter(challenge=challenge)} == {"development", "final"}


def test_what_has_no_drafts_is_changed_by_moderators_alone(starter: Any, member: Any) -> None:
    for name in ("leaderboard.reportedfigure", "leaderboard.benchmarkprompt", "research.sitetexts"):
        app, _, model = name.partition(".")
        users = {}
        for group in ("Editors", "Moderators"):
            member(group)
            users[group] = get_user_model().objects.get(username=group.lower())
        assert not users["Editors"].has_perm(f"{app}.change_{model}"), name
        assert users["Moderators"].has_perm(f"{app}.change_{model}"), name


def test_an_announcement_begins_and_ends_at_its_moment_on_kept_pages(
    client: Client, starter: Any
) -> None:
    """Without a task, without a write, and whether it is new or another text of a shown one."""
    pages = ("/", "/leaderboards/", "/status/", "/docs/")
    site = Site.objects.get(is_default_site=True)

    def shown_texts() -> set[str]:
        names = ("Quartz", "Xylophone", "Marimba")
        texts = [client.get(path).content.decode() for path in pages]
        return {" ".join(name for name in names if name in text) for text in texts}

    # The database's own clock decides, so time really passes. A busy machine that takes longer to
    # give the pages than a text is shown tells nothing: it gets more time.
    for length in (1.0, 4.0, 16.0):
        Announcement.objects.all().delete()
        now = timezone.now()
        shown = Announcement.objects.create(site=site, text="Quartz", last_published_at=now)
        shown.save_revision().publish()
        shown.refresh_from_db()
        for begins, text in ((1.5, "Xylophone"), (3.0, "Marimba")):
            made = Announcement(site=site, live=False) if text == "Xylophone" else shown
            made.text = text
            made.go_live_at = now + timedelta(seconds=begins * length)
            made.expire_at = now + timedelta(seconds=(begins + 1) * length)
            if made is not shown:
                made.save()
            made.save_revision().publish()
        steps = (0, 1.5, "Quartz"), (1.5, 2.5, "Xylophone"), (2.5, 3, "Quartz"), (3, 4, "Marimba")
        for after, until, expected in steps:
            time.sleep(max(0.0, (now - timezone.now()).total_seconds() + after * length + 0.05))
            found = shown_texts()
            in_time = timezone.now() < now + timedelta(seconds=until * length)
            if not in_time:
                break
            assert found == {expected}, (after, expected)
        if in_time:
            break
    assert in_time, "too slow to tell anything"
