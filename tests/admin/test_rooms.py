"""Everything the rooms keep, in Wagtail's admin: who sees which list, what it costs, what is done by
which action."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook
from wagtail.models import ModelLogEntry

from inference import services as inference
from inference.models import Job, Variant
from inference.world.samples import sample_bytes
from leaderboard import services
from leaderboard.models import Benchmark, Challenge, LogLine, Participation, Split, Submission, Team
from leaderboard.services import Card, NewItem
from pricing import services as pricing
from pricing.models import ApiKey

pytestmark = pytest.mark.django_db

ADMINS_ONLY = (
    "leaderboard_split", "leaderboard_submission", "leaderboard_team", "leaderboard_participation",
    "leaderboard_logline", "inference_variant", "inference_variantmeasurement", "inference_job",
    "pricing_apikey", "notifications_subscription", "notifications_delivery", "notifications_event",
)  # fmt: skip
EDITORS_TOO = (
    "leaderboard_benchmark", "leaderboard_challenge", "leaderboard_benchmarkprompt",
    "leaderboard_reportedfigure",
)  # fmt: skip


def listing(name: str) -> str:
    return reverse(f"wagtailsnippets_{name}:list")


def bulk(name: str, action: str, *rows: Any, **more: str) -> str:
    app, model = name.rsplit("_", 1)
    address = reverse("wagtail_bulk_action", args=[app, model, action])
    asked = "&".join([*(f"id={row.pk}" for row in rows), *(f"{k}={v}" for k, v in more.items())])
    return f"{address}?{asked}&next={listing(name)}"


def do(client: Client, address: str, **sent: str) -> str:
    """Ask on the page, then do it; what came of it in words."""
    assert client.get(address).status_code == 200
    return client.post(address, sent, follow=True).content.decode()


def account(name: str) -> Any:
    return get_user_model().objects.create_user(name, f"{name}@example.org", "pw")


@pytest.fixture
def benchmark(starter: Any) -> Benchmark:
    made = services.benchmark_make(
        slug="colours", title="Colours", summary="Name the colour.", task="vqa",
        primary_metric="exact_match", licence="CC0-1.0", source="test",
    )  # fmt: skip
    items = [
        NewItem(f"q{n}", {"answers": ["red"]}, "What colour?", "", f"https://images.test/{n}.webp")
        for n in range(4)
    ]
    services.split_fill(benchmark=made, name="dev", items=items, is_public=True)
    services.split_fill(benchmark=made, name="test", items=items, is_public=False, ranks=True)
    return made


def submitted(benchmark: Benchmark, by: Any, name: str) -> Submission:
    lines = "".join(json.dumps({"id": f"q{n}", "answer": "red"}) + "\n" for n in range(4))
    split = benchmark.splits.get(name="dev")
    made = services.submission_make(
        split=split, user=by, card=Card(name), file=io.BytesIO(lines.encode())
    )
    services.submission_score(submission_id=made.pk)
    made.refresh_from_db()
    return made


def asked() -> Job:
    image = inference.image_store(data=sample_bytes("night"))
    return inference.job_submit(
        skill="query", variant_slug=None, image=image, params={"question": "A private question?"},
        caller="api", owner_key="somebody",
    )  # fmt: skip


@pytest.mark.parametrize("name", [*ADMINS_ONLY, *EDITORS_TOO])
def test_who_sees_a_list(member: Callable[[str], Client], name: str) -> None:
    seen = {group: member(group).get(listing(name)).status_code for group in ("Editors", "Moderators", "Admins")}  # fmt: skip
    others = 200 if name in EDITORS_TOO else 302
    assert seen == {"Editors": others, "Moderators": others, "Admins": 200}


def test_an_editor_reads_no_key_by_any_address(member: Callable[[str], Client]) -> None:
    key, _ = pricing.key_make(user=account("ada"), name="A name of its own", scopes=["submit"])
    editor = member("Editors")
    space = "wagtailsnippets_pricing_apikey"
    addresses = [
        *(reverse(f"{space}:{view}") for view in ("list", "list_results", "add")),
        *(reverse(f"{space}:{view}", args=[key.pk]) for view in ("edit", "inspect", "delete", "history", "usage")),
        bulk("pricing_apikey", "revoke", key), bulk("pricing_apikey", "delete", key),
        f"{listing('pricing_apikey')}?export=csv", f"/admin/snippets/choose/pricing/apikey/chosen/{key.pk}/",
        "/admin/snippets/choose/pricing/apikey/", "/admin/reports/site-history/",
    ]  # fmt: skip
    for address in addresses:
        for answer in (editor.get(address, follow=True), editor.post(address, follow=True)):
            assert "A name of its own" not in answer.content.decode(errors="replace"), address
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_key_is_revoked_by_its_action_and_never_shown(member: Callable[[str], Client]) -> None:
    key, secret = pricing.key_make(user=account("ada"), name="notebook", scopes=["submit"])
    admin = member("Admins")
    space = "wagtailsnippets_pricing_apikey"
    for address in (
        listing("pricing_apikey"), reverse(f"{space}:inspect", args=[key.pk]),
        f"{listing('pricing_apikey')}?export=csv",
    ):  # fmt: skip
        answer = admin.get(address)
        text = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        assert key.prefix in text
        assert secret not in text
        assert key.digest not in text
    for view in ("edit", "delete"):
        assert admin.get(reverse(f"{space}:{view}", args=[key.pk])).status_code == 302
    assert admin.get(reverse(f"{space}:add")).status_code == 302
    assert admin.get(bulk("pricing_apikey", "delete", key)).status_code in (302, 403)
    assert "1 API key revoked" in do(admin, bulk("pricing_apikey", "revoke", key))
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert ModelLogEntry.objects.get(action="pricing.revoke").user.username == "admins"


def test_all_in_the_list_are_those_that_its_filters_leave(member: Callable[[str], Client]) -> None:
    ada, bea = account("ada"), account("bea")
    keys = [pricing.key_make(user=user, name=f"of {user.username}", scopes=["infer"])[0] for user in (ada, bea)]  # fmt: skip
    admin = member("Admins")
    address = bulk("pricing_apikey", "revoke", id="all", q="of ada")
    assert "of bea" not in admin.get(address).content.decode()
    do(admin, address)
    assert [ApiKey.objects.get(pk=key.pk).revoked_at is None for key in keys] == [False, True]


def test_the_default_is_changed_in_one_step(member: Callable[[str], Client]) -> None:
    admin = member("Admins")
    before = Variant.objects.get(is_default=True)
    other = Variant.objects.filter(is_default=False).first()
    assert "the default now" in do(admin, bulk("inference_variant", "make_default", other))
    assert Variant.objects.get(is_default=True) == other
    Variant.objects.filter(pk=before.pk).update(enabled=False)
    assert "cannot be asked" in do(admin, bulk("inference_variant", "make_default", before))
    assert Variant.objects.get(is_default=True) == other
    edit = reverse("wagtailsnippets_inference_variant:edit", args=[other.pk])
    assert "make another one the default first" in admin.post(edit, {}).content.decode()
    answer = admin.post(
        reverse("wagtailsnippets_inference_variant:edit", args=[before.pk]),
        {"enabled": "on", "folder": "/etc", "slug": "moved"},
    )
    assert answer.status_code == 302
    before.refresh_from_db()
    assert before.enabled
    assert (before.slug, before.folder) != ("moved", "/etc")


def test_a_job_is_cancelled_and_its_question_stays_its_askers(
    member: Callable[[str], Client],
) -> None:
    job = asked()
    admin = member("Admins")
    for address in (
        listing("inference_job"), reverse("wagtailsnippets_inference_job:inspect", args=[job.pk]),
        f"{listing('inference_job')}?export=csv",
    ):  # fmt: skip
        answer = admin.get(address)
        text = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        assert str(job.pk) in text
        assert "A private question?" not in text
        assert "somebody" not in text
    assert "1 job cancelled" in do(admin, bulk("inference_job", "cancel", job))
    job.refresh_from_db()
    assert job.status == Job.Status.CANCELLED


def test_a_submission_is_withdrawn_and_hidden_by_services_alone(
    member: Callable[[str], Client], benchmark: Benchmark
) -> None:
    first, second = (submitted(benchmark, account(name), f"Model of {name}") for name in ("ada", "bea"))  # fmt: skip
    admin = member("Admins")
    edit = reverse("wagtailsnippets_leaderboard_submission:edit", args=[first.pk])
    assert admin.post(edit, {"status": "failed"}).status_code == 302
    first.refresh_from_db()
    assert first.status == Submission.Status.SCORED
    assert "1 submission hidden" in do(admin, bulk("leaderboard_submission", "hide", second))
    both = bulk("leaderboard_submission", "withdraw", first, second)
    assert "2 submissions withdrawn" in do(admin, both)
    assert set(Submission.objects.filter(pk__in=[first.pk, second.pk]).values_list("status", flat=True)) == {"withdrawn"}  # fmt: skip
    line = LogLine.objects.get(action="withdrawn", submission_id=first.pk)
    assert line.actor == "organisers"  # the log is public: no account's name stands there
    inspect = reverse("wagtailsnippets_leaderboard_submission:inspect", args=[first.pk])
    assert first.file not in admin.get(inspect).content.decode()


def test_references_are_made_public_by_their_name(
    member: Callable[[str], Client], benchmark: Benchmark
) -> None:
    hidden = benchmark.splits.get(name="test")
    admin = member("Admins")
    page = bulk("leaderboard_split", "publish_references", hidden)
    assert "Write colours/test" in do(admin, page, confirm="test")
    edit = reverse("wagtailsnippets_leaderboard_split:edit", args=[hidden.pk])
    admin.post(edit, {"daily_limit": "7", "total_limit": "", "ranks": "on", "is_public": "on"})
    hidden.refresh_from_db()
    assert (hidden.is_public, hidden.daily_limit) == (False, 7)
    other = benchmark.splits.get(name="dev")
    edit = reverse("wagtailsnippets_leaderboard_split:edit", args=[other.pk])
    assert "take it from there first" in admin.post(edit, {"ranks": "on"}).content.decode()
    assert "1 split made public" in do(admin, page, confirm="colours/test")
    assert Split.objects.get(pk=hidden.pk).is_public


def test_a_benchmarks_metric_is_one_of_its_task(member: Callable[[str], Client], benchmark: Benchmark) -> None:  # fmt: skip
    admin = member("Admins")
    edit = reverse("wagtailsnippets_leaderboard_benchmark:edit", args=[benchmark.pk])
    sent = {"title": "Colours", "summary": "Name it.", "licence": "CC0-1.0", "source": "test",
            "entry_rule": "best", "position": "0", "is_shown": "on", "primary_metric": "cider"}  # fmt: skip
    assert "cider is not one of" in admin.post(edit, sent).content.decode()
    assert admin.post(edit, sent | {"primary_metric": "exact_match"}).status_code == 302
    benchmark.refresh_from_db()
    assert benchmark.summary == "Name it."
    assert not benchmark.is_open
    assert member("Editors").post(edit, sent).status_code == 302  # home, with a refusal
    assert member("Editors").get(edit).status_code == 302


@pytest.fixture
def taking_part(benchmark: Benchmark) -> Participation:
    now = timezone.now()
    challenge = services.challenge_make(
        slug="hues", title="Hues", summary="Name them.", benchmark=benchmark, opens_at=now - timedelta(days=1),
        closes_at=now + timedelta(days=4), team_size=2, needs_approval=True,
        phases=[{"name": "final", "split": benchmark.splits.get(name="test"),
                 "starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=4)}],
    )  # fmt: skip
    return services.challenge_join(
        challenge=challenge, user=account("ada"), rules_accepted=True, received_at=now
    )


def test_a_team_is_accepted_disqualified_and_reinstated(
    member: Callable[[str], Client], taking_part: Participation
) -> None:
    admin, name = member("Admins"), "leaderboard_participation"
    assert 'href="/admin/bulk/leaderboard/participation/accept/' in admin.get(listing(name)).content.decode()  # fmt: skip
    assert "1 participation accepted" in do(admin, bulk(name, "accept", taking_part))
    page = bulk(name, "disqualify", taking_part)
    assert "This field is required" in admin.post(page, {}).content.decode()
    assert "1 participation disqualified" in do(admin, page, reason="Two accounts.")
    taking_part.refresh_from_db()
    assert (taking_part.state, taking_part.reason) == ("disqualified", "Two accounts.")
    assert taking_part.decided_by.username == "admins"
    assert "Two accounts." in mail.outbox[-1].body
    assert "The team is disqualified now" in do(admin, bulk(name, "accept", taking_part))
    assert "reinstated" in do(admin, bulk(name, "reinstate", taking_part))
    assert member("Editors").get(page).status_code in (302, 403)


def test_standings_are_frozen_and_ranked_by_admins_alone(
    member: Callable[[str], Client], taking_part: Participation
) -> None:
    challenge = taking_part.challenge
    freeze = bulk("leaderboard_challenge", "freeze", challenge)
    assert member("Editors").post(freeze).status_code in (302, 403)
    challenge.refresh_from_db()
    assert challenge.freeze_at is None
    admin = member("Admins")
    assert "1 challenge frozen" in do(admin, freeze)
    assert "can be frozen, once" in do(admin, freeze)
    assert "is not over" in do(admin, bulk("leaderboard_challenge", "publish_ranking", challenge))
    Challenge.objects.update(closes_at=timezone.now() - timedelta(minutes=1))
    assert "1 challenge ranked" in do(admin, bulk("leaderboard_challenge", "publish_ranking", challenge))  # fmt: skip


def test_a_team_is_edited_by_addresses_and_fits_its_challenge(
    member: Callable[[str], Client], taking_part: Participation
) -> None:
    team, admin = taking_part.team, member("Admins")
    account("bea"), account("cy")
    edit = reverse("wagtailsnippets_leaderboard_team:edit", args=[team.pk])
    assert "ada@example.org" in admin.get(edit).content.decode()

    def change(accounts: str, name: str = team.name) -> str:
        sent = {"name": name, "accounts": accounts}
        return admin.post(edit, sent, follow=True).content.decode()

    assert "There is no one account of dee@example.org" in change("ada@example.org\ndee@example.org")  # fmt: skip
    assert "at most 2 members" in change("ada@example.org\nbea@example.org\ncy")
    other = services.team_of(get_user_model().objects.get(username="cy"))
    services.challenge_join(
        challenge=taking_part.challenge, user=other.members.get(), rules_accepted=True,
        received_at=timezone.now(),
    )  # fmt: skip
    assert "with another team" in change("ada@example.org\ncy@example.org")
    Team.objects.create(name="Moon Lab")
    assert "looks like one" in change("ada@example.org", "M00n-lab")
    change("ADA@example.org\nbea@example.org\nbea@example.org", "Baseline")
    team.refresh_from_db()
    assert team.name == "Baseline"
    assert sorted(team.members.values_list("username", flat=True)) == ["ada", "bea"]
    code = services.team_invite(team, team.members.first()).invite_code
    change("bea@example.org", "Baseline")
    team.refresh_from_db()
    assert code
    assert not team.invite_code  # who is out knows the link: it ends


LONGEST = 30


@pytest.mark.parametrize("name", [*ADMINS_ONLY, *EDITORS_TOO])
def test_a_list_asks_the_same_few_queries_however_long_it_is(
    admin_client: Client, benchmark: Benchmark, name: str
) -> None:
    def fill(number: int) -> None:
        user = account(f"user{number}")
        pricing.key_make(user=user, name=f"key {number}", scopes=["submit"])
        submitted(benchmark, user, f"Model {number}")
        asked()
        services.prompt_propose(
            user=user, benchmark=benchmark, name="", skill="query", text=f"What is {number}?",
            source="A paper", source_url="https://example.org/paper",
        )  # fmt: skip

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert admin_client.get(listing(name)).status_code == 200
        return len(caught)

    fill(1)
    admin_client.get(listing(name))
    first = queries()
    for number in range(2, 6):
        fill(number)
    assert queries() <= first
    assert first <= LONGEST


def test_spreadsheets_hold_every_row_and_no_formula(
    admin_client: Client, benchmark: Benchmark
) -> None:
    made = submitted(benchmark, account("ada"), "Model")
    Submission.objects.filter(pk=made.pk).update(model_name="=HYPERLINK(1)")
    address = listing("leaderboard_submission")
    text = admin_client.get(f"{address}?export=csv").getvalue().decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 1 + Submission.objects.count()
    assert "'=HYPERLINK(1)" in rows[1]
    book = load_workbook(io.BytesIO(admin_client.get(f"{address}?export=xlsx").getvalue()))
    cells = next(iter(book.active.iter_rows(min_row=2)))
    assert [cell.data_type for cell in cells if "HYPERLINK" in str(cell.value)] == ["s"]
