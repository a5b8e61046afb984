"""What the rooms do becomes an event, once, in the same transaction, and reaches only those it is for."""

import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from wagtail.models import PageViewRestriction

from inference.tuning.models import Finetune, TuningRun
from leaderboard import services as leaderboard
from leaderboard.models import Benchmark, Submission, Team
from leaderboard.services import Card, NewItem
from notifications import services
from notifications.models import Delivery, Event, Subscription
from pricing import services as pricing
from pricing.models import Allotment, LedgerAccount, Meter
from research.models import PaperPage, PapersPage
from tests.notifications.conftest import Make, deliver, happen, later
from tests.receivers import answers, said, served

pytestmark = pytest.mark.django_db
Person = Callable[[str], Any]


def paper(title: str = "A paper", *, publish: bool = True) -> PaperPage:
    page = PaperPage(
        title=title, slug=f"made-{PaperPage.objects.count()}", abstract="What it says.",
        published_on=date(1999, 1, 2), is_sample=True, live=False,
    )  # fmt: skip
    PapersPage.objects.get().add_child(instance=page)
    revision = page.save_revision()
    if publish:
        revision.publish()
    return page


def of(kind: str) -> list[Event]:
    return list(Event.objects.filter(kind=kind).order_by("pk"))


@pytest.fixture
def quiet(starter: Any) -> None:
    """The starter content, of which nobody is told any more."""
    Event.objects.all().delete()


def test_a_page_is_told_of_once_when_it_is_published(quiet: None) -> None:
    page = paper(publish=False)
    page.save_revision()
    assert of("paper.published") == []
    page.get_latest_revision().publish()
    (event,) = of("paper.published")
    assert event.title == "New paper: A paper"
    assert event.path == page.url
    for title in ("Changed", "Changed again"):
        page.title = title
        page.save_revision().publish()
    page.unpublish()
    page.save_revision().publish()
    assert len(of("paper.published")) == 1


def test_an_old_page_that_is_saved_again_is_no_news(quiet: None) -> None:
    page = paper()
    Event.objects.all().delete()
    page.first_published_at = timezone.now() - timedelta(days=60)
    page.save()
    assert of("paper.published") == []


def test_restricted_pages_and_drafts_reach_nobody(quiet: None, subscription: Make) -> None:
    row = subscription()
    parent = PapersPage.objects.get()
    rule = PageViewRestriction.objects.create(page=parent, restriction_type="login")
    paper("For members")
    rule.delete()
    taken_back = paper("Taken back")
    assert services.events_spread() == 2
    assert Delivery.objects.filter(subscription=row).count() == 2, "the restriction is gone"
    PageViewRestriction.objects.create(page=taken_back, restriction_type="login")
    PaperPage.objects.filter(title="For members").get().unpublish()
    with served(said(answers(200))) as (url, got):
        services.subscription_update(
            subscription=row, wanted=services.Wanted("webhook", row.kinds, url=url)
        )
        deliver(row)
        assert got == []
    assert set(Delivery.objects.values_list("state", "note")) == {
        ("skipped", "It is not public any more.")
    }


def test_a_page_that_is_restricted_when_it_is_spread_makes_no_delivery(
    quiet: None, subscription: Make
) -> None:
    subscription()
    page = paper()
    PageViewRestriction.objects.create(page=page, restriction_type="login")
    services.events_spread()
    assert not Delivery.objects.exists()


@pytest.fixture
def board(quiet: None) -> Benchmark:
    made = leaderboard.benchmark_make(
        slug="colours", title="Colours", summary="Name the colour.", task="vqa",
        primary_metric="exact_match", licence="CC0-1.0", source="test",
    )  # fmt: skip
    items = [
        NewItem(f"q{n}", {"answers": ["red"]}, "What colour?", "", f"https://images.test/{n}.webp")
        for n in range(4)
    ]
    leaderboard.split_fill(benchmark=made, name="test", items=items, is_public=False, ranks=True)
    return made


def submit(board: Benchmark, by: Any, name: str, right: int, **more: Any) -> Submission:
    lines = "".join(
        json.dumps({"id": f"q{n}", "answer": "red" if n < right else "blue"}) + "\n"
        for n in range(4)
    )
    made = leaderboard.submission_make(
        split=board.splits.get(name="test"), user=by, card=Card(name), file=io.BytesIO(lines.encode()), **more
    )  # fmt: skip
    leaderboard.submission_score(submission_id=made.pk)
    leaderboard.entries_make(benchmark=board)
    return made


def test_entries_and_a_new_first_of_a_leaderboard(board: Benchmark, person: Person) -> None:
    ada, bea = person("ada"), person("bea")
    first = submit(board, ada, "model-a", 2, is_public=True)
    submit(board, bea, "model-b", 3, is_public=True)
    submit(board, ada, "model-secret", 4, is_public=False)
    leaderboard.entries_make(benchmark=board)
    added = of("leaderboard.entry_added")
    assert [event.title for event in added] == [
        "Colours: model-a is on the leaderboard", "Colours: model-b is on the leaderboard",
    ]  # fmt: skip
    assert added[0].data == {"leaderboard": "colours", "submission": str(first.pk)}
    assert [event.title for event in of("leaderboard.top1_changed")] == [
        "Colours: model-a leads", "Colours: model-b leads",
    ]  # fmt: skip
    scored = of("submission.scored")
    assert len(scored) == 3
    assert all(event.team_id for event in scored)


def test_the_feed_of_leaderboards(board: Benchmark, person: Person, client: Client) -> None:
    ada, bea = person("ada"), person("bea")
    made = submit(board, ada, "model-a", 2, is_public=True)
    submit(board, bea, "model-b", 3, is_public=True)
    submit(board, ada, "model-secret", 4, is_public=False)
    first = client.get("/feeds/leaderboards.json")
    items = first.json()["items"]
    assert {item["title"] for item in items} == {
        "Colours: model-a is on the leaderboard", "Colours: model-b is on the leaderboard",
        "Colours: model-a leads", "Colours: model-b leads",
    }  # fmt: skip
    assert len({item["id"] for item in items}) == 4
    days = [item["date_published"] for item in items]
    assert days == sorted(days, reverse=True)
    later = {"If-Modified-Since": first["Last-Modified"]}
    assert client.get("/feeds/leaderboards.json", headers=later).status_code == 304
    everything = {item["id"] for item in client.get("/feeds/all.json").json()["items"]}
    assert everything >= {item["id"] for item in items}
    leaderboard.submission_publish(submission=made, is_public=False, actor="ada")
    leaderboard.entries_make(benchmark=board)
    for form in ("rss", "atom", "json"):
        assert b"model-a" not in client.get(f"/feeds/leaderboards.{form}").content
    Benchmark.objects.update(is_shown=False)
    assert client.get("/feeds/leaderboards.json").json()["items"] == []


def test_a_board_that_is_not_shown_says_nothing(board: Benchmark, person: Person) -> None:
    Benchmark.objects.update(is_shown=False)
    submit(board, person("ada"), "model-a", 2, is_public=True)
    assert {event.kind for event in Event.objects.all()} == {"submission.scored"}


def test_only_the_leaderboards_and_kinds_that_were_chosen(
    board: Benchmark, subscription: Make, person: Person
) -> None:
    other = Benchmark.objects.exclude(pk=board.pk).first()
    assert other is not None
    wants = ["leaderboard.top1_changed", "paper.published"]
    here, there, all_, no_kind = (subscription(kinds=wants) for _ in range(4))
    here.boards.set([board])
    there.boards.set([other])
    Subscription.objects.filter(pk=no_kind.pk).update(kinds=["release.published"])
    submit(board, person("ada"), "model-a", 2, is_public=True)
    paper()
    services.events_spread()
    counts = [one.deliveries.count() for one in (here, there, all_, no_kind)]
    assert counts == [2, 1, 2, 0], "a paper is of no leaderboard"


def test_who_subscribes_later_is_not_told_of_before(quiet: None, subscription: Make) -> None:
    paper()
    subscription(confirmed_at=timezone.now())
    services.events_spread()
    assert not Delivery.objects.exists()


def test_private_events_reach_their_owner_alone(quiet: None, subscription: Make) -> None:
    own, others = subscription(), subscription()
    public = Subscription.objects.create(
        email="x@example.org", target="email", state="active", kinds=own.kinds,
        confirmed_at=timezone.now() - timedelta(days=1),
    )  # fmt: skip
    happen(owner=own.user)
    happen(owner=None)
    services.events_spread()
    assert own.deliveries.count() == 1
    assert others.deliveries.count() == public.deliveries.count() == 0


def test_who_left_the_team_or_the_site_gets_nothing_more(
    board: Benchmark, subscription: Make
) -> None:
    with served(said(answers(200))) as (url, got):
        rows = [subscription(url, kinds=["submission.scored"]) for _ in range(4)]
        staying, leaving, banned, gone = rows
        team = Team.objects.create(name="A team")
        team.members.set([row.user for row in rows if row.user])
        submit(board, staying.user, "model-a", 2, team=team.name)
        services.events_spread()
        assert Delivery.objects.count() == 4
        team.members.remove(leaving.user)
        banned.user.is_active = False
        banned.user.save()
        gone.user.delete()
        for row in rows:
            deliver(row)
        assert len(got) == 1
        submit(board, staying.user, "model-b", 2, team=team.name)
        services.events_spread()
    states = {d.subscription_id: d.state for d in Delivery.objects.order_by("-pk")}
    assert states == {staying.pk: "delivered", leaving.pk: "skipped", banned.pk: "skipped"}
    assert staying.deliveries.count() == 2
    assert leaving.deliveries.count() == 1


def test_nobody_is_told_of_what_was_made_private_before_its_next_try(
    board: Benchmark, subscription: Make, person: Person
) -> None:
    with served(said(answers(500))) as (url, got):
        row = subscription(url, kinds=["leaderboard.entry_added"])
        made = submit(board, person("ada"), "model-a", 2, is_public=True)
        services.events_spread()
        deliver(row)
        leaderboard.submission_publish(submission=made, is_public=False, actor="ada")
        later(row.deliveries.get())
        deliver(row)
    assert len(got) == 1
    assert row.deliveries.get().state == "skipped"


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_fine_tune_that_ended(quiet: None, person: Person, status: str) -> None:
    from inference.models import Variant

    ada = person("ada")
    variant = Variant.objects.all()[0]
    finetune = Finetune.objects.create(
        owner=ada, name="counts", rank=8, variant=variant, base_name="m", base_revision="1"
    )
    run = TuningRun.objects.create(finetune=finetune, title="Counts", plan={}, data={}, limit_s=60)
    run.status = "running"
    run.save()
    assert of("finetune.finished") == []
    run.status = status
    run.save()
    run.save()
    (event,) = of("finetune.finished")
    assert event.owner == ada
    assert event.data["status"] == status
    anonymous = Finetune.objects.create(owner_key="k", name="c", rank=8, variant=variant, base_name="m", base_revision="1")  # fmt: skip
    TuningRun.objects.create(finetune=anonymous, title="C", plan={}, data={}, limit_s=60, status=status)  # fmt: skip
    assert len(of("finetune.finished")) == 1


def test_decided_credits_and_used_up_allowances(quiet: None, person: Person, settings: Any) -> None:
    settings.SENDS_MAIL = False
    ada, admin = person("ada"), person("admin")
    application = pricing.application_begin(user=ada)
    for name in (
        "full_name",
        "institution",
        "role",
        "title",
        "aim",
        "method",
        "dataset",
        "outputs",
    ):
        setattr(application, name, "text")
    application.is_affiliated = application.is_noncommercial = application.will_publish = True
    application.orcid, application.images = "0000-0002-1825-0097", 5
    application.needed_until = timezone.now().date() + timedelta(days=30)
    application.save()
    pricing.application_submit(application=application)
    assert of("credits.decided") == []
    pricing.application_decline(application=application, by=admin, reason="No.")
    (event,) = of("credits.decided")
    assert (event.owner, event.data["state"]) == (ada, "declined")
    assert "No." not in json.dumps(event.data) + event.text, "the reason is read on the page"
    account, _ = LedgerAccount.objects.get_or_create(user=ada)
    now = timezone.now()
    Allotment.objects.filter(account=account).delete()
    Allotment.objects.create(
        account=account, meter=Meter.IMAGES, kind="credit", starts_at=now, ends_at=now + timedelta(days=9),
        granted=100, used=85,
    )  # fmt: skip
    pricing.usage_alerts()
    pricing.usage_alerts()
    (event,) = of("usage.alert")
    assert (event.owner, event.data) == (ada, {"meter": Meter.IMAGES, "percent": 80})
