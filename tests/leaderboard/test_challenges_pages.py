"""Challenges as people meet them: pages, forms, the API, the admin's and editors' sides."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from leaderboard import services
from leaderboard.models import Challenge, Participation, Standing, Submission
from leaderboard.received import LONGEST, received_at
from moondream_site import asgi
from pricing import services as keys
from tests.leaderboard.conftest import NOW, in_last_phase, join, over, person, predictions, submit

pytestmark = pytest.mark.django_db
PAGE = "/leaderboards/challenges/hues/"
REASON = "Two accounts, one person."


def key(user: Any) -> dict[str, str]:
    made = keys.key_make(user=user, name="notebook", scopes=["submit"])[1]
    return {"Authorization": f"Bearer {made}"}


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def file(right: int = 3, total: int = 6) -> Any:
    made = predictions(right, total)
    made.name = "predictions.jsonl"
    return made


def post(client: Client, path: str, headers: dict[str, str], **body: Any) -> Any:
    return client.post(
        f"/api/challenges/{path}", json.dumps(body), content_type="application/json",
        headers=headers,
    )  # fmt: skip


def test_the_api_from_the_list_to_the_standings(client, challenge, user) -> None:
    listed = [c for c in client.get("/api/challenges").json() if c["slug"] == "hues"]
    assert [p["split"] for p in listed[0]["phases"]] == ["dev", "test"]
    assert client.get("/api/challenges/hues").json() == listed[0]
    assert client.get("/api/challenges/none").json()["type"].endswith("challenge_not_found")
    mine = key(user)
    assert post(client, "hues/join", {}, accept_rules=True).status_code == 401
    refused = post(client, "hues/join", mine)
    assert refused.status_code == 400
    assert refused.json()["type"].endswith("rules_not_accepted")
    assert post(client, "hues/join", mine, accept_rules=True).json()["state"] == "accepted"
    fields = {"model_name": "Mine", "file": file(), "challenge": "hues"}
    sent = client.post("/api/leaderboards/colours/submissions", fields, headers=mine)
    assert sent.status_code == 202, sent.content
    body = sent.json()
    assert (body["challenge"], body["phase"], body["split"]) == ("hues", "development", "dev")
    assert body["quota"]["today"] is None
    services.submission_score(submission_id=body["id"])
    found = client.get("/api/challenges/hues/standings").json()
    assert found["rows"][0]["model"] == "Mine"
    assert found["rows"][0]["value"] == pytest.approx(50)
    own = client.get("/api/challenges/hues/team", headers=mine).json()
    assert own["submissions"][0]["value"] == pytest.approx(50)
    assert post(client, "hues/leave", mine).json()["state"] == "left"
    assert client.get("/api/challenges/hues/standings").json()["rows"] == []


def test_a_challenge_of_another_leaderboard_says_where_it_is(client, challenge, user) -> None:
    services.benchmark_make(
        slug="other", title="O", summary="", task="vqa", licence="CC0-1.0", source="x"
    )
    answer = client.post(
        "/api/leaderboards/other/submissions",
        {"model_name": "Mine", "file": file(), "challenge": "hues"}, headers=key(user),
    )  # fmt: skip
    assert answer.status_code == 404
    assert "colours" in answer.json()["detail"]


def test_the_reason_is_for_the_team_alone(client, challenge, user) -> None:
    made = join(challenge, user)
    other = person("grace")
    join(challenge, other)
    submit(challenge, user, 6)
    services.participation_decide(participation=made, decision="disqualify", by=None, reason=REASON)
    assert REASON in signed_in(user).get(PAGE).content.decode()
    assert client.get("/api/challenges/hues/team", headers=key(user)).json()["reason"] == REASON
    sent = client.post(
        "/api/leaderboards/colours/submissions",
        {"model_name": "Mine", "file": file(), "challenge": "hues"}, headers=key(user),
    )  # fmt: skip
    assert sent.status_code == 403
    assert sent.json()["detail"] == REASON
    page = client.get(PAGE).content.decode()
    assert f"Disqualified, and not ranked: {made.team.name}" in page
    everybody = [
        page, signed_in(other).get(PAGE).content.decode(),
        client.get("/leaderboards/colours/log/").content.decode(),
        client.get("/api/leaderboards/colours/log").content.decode(),
        client.get("/api/challenges/hues/standings").content.decode(),
        client.get("/api/challenges/hues/team", headers=key(other)).content.decode(),
    ]  # fmt: skip
    assert not any(REASON in one for one in everybody)


def test_the_page_is_few_queries_however_many_teams(
    client, challenge, user, django_assert_max_num_queries
) -> None:
    join(challenge, user)
    sent = submit(challenge, user)
    phase = challenge.phases.first()
    Standing.objects.bulk_create(
        Standing(
            challenge=challenge, phase=phase, submission=sent, model_name=f"Model {n:03}",
            team_name=f"team {n:03}", score=n / 200, rank=200 - n, scored_at=NOW(),
            figures={"exact_match": {"value": n / 200, "low": n / 200, "high": n / 200}},
        )
        for n in range(100, 200)
    )  # fmt: skip
    client.get(PAGE)
    with django_assert_max_num_queries(10):
        page = client.get(PAGE).content.decode()
    assert "team 199" in page
    assert "Page 1 of 5" in page
    mine = signed_in(user)
    mine.get(PAGE)
    with django_assert_max_num_queries(20):
        mine.get(PAGE)
    with django_assert_max_num_queries(8):
        part = client.get(f"{PAGE}?page=2", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Page 2 of 5" in part
    assert (
        "All 101 teams" in client.get(f"{PAGE}?top=1", headers={"HX-Request": "1"}).content.decode()
    )
    with django_assert_max_num_queries(3):
        client.get("/api/challenges")


def test_from_joining_to_choosing_with_forms(challenge, user) -> None:
    client = signed_in(user)
    page = client.get(PAGE).content.decode()
    assert "Nobody is ranked yet" in page
    assert "We accept the rules" in page
    unread = client.post(f"{PAGE}join/")
    assert unread.status_code == 422
    assert "This field is required" in unread.content.decode()
    assert client.get(f"{PAGE}submit/").status_code == 403
    assert client.post(f"{PAGE}join/", {"accept_rules": "on"})["Location"] == PAGE
    assert "takes part" in client.get(PAGE).content.decode()
    in_last_phase(challenge)
    form = client.get(f"{PAGE}submit/").content.decode()
    assert "challenge=&quot;hues&quot;" in form
    assert "2 today, 4 in all" in form
    checked = client.post(f"{PAGE}submit/", {"model_name": "M1", "file": file(5, 40), "check": "1"})
    assert checked.status_code == 302
    assert not Submission.objects.exists()
    bad = client.post(f"{PAGE}submit/", {"model_name": "M1", "file": file(5, 39)})
    assert "1 missing id" in bad.content.decode()
    sent = client.post(f"{PAGE}submit/", {"model_name": "M1", "file": file(5, 40), "is_public": "on"})  # fmt: skip
    made = Submission.objects.get()
    assert sent["Location"] == made.get_absolute_url()
    assert "To the challenge" in client.get(sent["Location"]).content.decode()
    services.submission_score(submission_id=made.pk)
    assert "Let it count" in client.get(PAGE).content.decode()
    client.post(f"{PAGE}choose/", {"submission": str(made.pk)})
    assert Participation.objects.get().chosen == made
    client.post(f"{PAGE}choose/")
    assert Participation.objects.get().chosen is None
    client.post(f"{PAGE}leave/")
    assert Participation.objects.get().state == "left"


def test_who_is_not_signed_in_is_led_there(client, challenge) -> None:
    page = client.get(PAGE).content.decode()
    assert f"/account/login/?next={PAGE}" in page
    assert client.post(f"{PAGE}join/")["Location"].startswith("/account/login/")
    assert "Sign in to join" in client.get(f"{PAGE}own/").content.decode()
    Challenge.objects.update(is_shown=False)
    assert client.get(PAGE).status_code == 404


def test_frozen_and_final_are_said(client, challenge, user) -> None:
    join(challenge, user)
    in_last_phase(challenge)
    sent = submit(challenge, user, 30)
    services.challenge_freeze(challenge=challenge, by=None)
    assert "Frozen since" in client.get(PAGE).content.decode()
    assert client.get(f"/leaderboards/entries/{sent.pk}/").status_code == 404
    everything = "/api/leaderboards/export.jsonl"
    assert str(sent.pk) not in client.get(everything).getvalue().decode()
    over(challenge)
    services.final_publish(challenge=challenge, by=None)
    page = client.get(PAGE).content.decode()
    assert "Frozen since" not in page
    assert "Final ranking</span>" in page
    assert client.get(f"/leaderboards/entries/{sent.pk}/").status_code == 200
    assert str(sent.pk) in client.get(everything).getvalue().decode()
    assert "Model" in client.get("/leaderboards/colours/").content.decode()
    assert client.get("/api/challenges/hues/standings").json()["is_final"]
    practice = client.get("/api/challenges/hues/standings?phase=final").json()
    assert not practice["is_final"]


async def test_a_slow_upload_is_judged_by_its_first_line() -> None:
    seen: list[float] = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["received_at"])

    before = timezone.now().timestamp()
    original, asgi._django = asgi._django, django
    try:
        await asgi.application({"type": "http", "headers": []}, None, None)  # type: ignore[arg-type]
    finally:
        asgi._django = original
    assert before <= seen[0] <= timezone.now().timestamp()


def test_a_request_counts_from_when_it_was_received_within_reason(rf) -> None:
    request = rf.get("/")
    moment = timezone.now() - timedelta(seconds=30)
    request.scope = {"received_at": moment.timestamp()}
    assert abs(received_at(request) - moment) < timedelta(milliseconds=1)
    request.scope = {"received_at": 0.0}  # a request kept open for hours gains nothing by it
    assert timezone.now() - received_at(request) <= LONGEST + timedelta(seconds=1)


def snippet(benchmark: Any, phases: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    fields = {
        "title": "Tints", "slug": "tints", "summary": "Name the tint.", "benchmark": benchmark.pk,
        "is_shown": "on", "opens_at": "2030-01-01 00:00", "closes_at": "2030-02-01 00:00",
        "freeze_at": "", "team_size": 5, "phases-TOTAL_FORMS": len(phases),
        "phases-INITIAL_FORMS": 0, "phases-MIN_NUM_FORMS": 1, "phases-MAX_NUM_FORMS": 1000,
        "action-publish": "action-publish", **more,
    }  # fmt: skip
    for number, phase in enumerate(phases):
        whole = {"feedback": "live", "daily_limit": "", "total_limit": "", "DELETE": "", **phase}
        fields |= {f"phases-{number}-{k}": v for k, v in whole.items()}
    return fields


def test_an_editor_makes_a_challenge_and_errors_stand_at_their_fields(admin_client, split) -> None:
    address = reverse("wagtailsnippets_leaderboard_challenge:add")
    dev = split.benchmark.splits.get(name="dev")
    first = {"name": "development", "split": dev.pk, "starts_at": "2030-01-01 00:00", "ends_at": "2030-01-15 00:00"}  # fmt: skip
    last = {"name": "final", "split": split.pk, "starts_at": "2030-01-15 00:00", "ends_at": "2030-02-01 00:00"}  # fmt: skip
    assert admin_client.get(address).status_code == 200
    for phases, more, problem in (
        ([first, last], {"closes_at": "2029-01-01 00:00"}, "It must close after it opens."),
        ([first, last], {"freeze_at": "2031-01-01 00:00"}, "Freeze the standings while"),
        ([first, {**last, "starts_at": "2030-01-10 00:00"}], {}, "the phase before it has ended"),
        ([first, {**last, "ends_at": "2030-03-01 00:00"}], {}, "before the challenge closes"),
        ([{**first, "starts_at": "2029-12-01 00:00"}, last], {}, "after the challenge opens"),
        ([first, {**last, "name": "development"}], {}, "Another phase has this name"),
        ([first], {}, "its split has to be hidden"),
        ([], {}, "at least 1"),
    ):  # fmt: skip
        answer = admin_client.post(address, snippet(split.benchmark, phases, **more))
        assert answer.status_code == 200, problem
        assert problem in re.sub(r"&#x27;", "'", answer.content.decode()), problem
    assert not Challenge.objects.filter(slug="tints").exists()
    made = admin_client.post(address, snippet(split.benchmark, [last, first]))
    assert made.status_code == 302, re.findall(r'error-message">[^<]+', made.content.decode())
    tints = Challenge.objects.get(slug="tints")
    assert [p.name for p in tints.phases.all()] == ["development", "final"]
    assert tints.opens_at == datetime(2030, 1, 1, tzinfo=UTC)
    listed = admin_client.get(reverse("wagtailsnippets_leaderboard_challenge:list"))
    assert "Tints" in listed.content.decode()


def test_a_freeze_that_has_begun_stays_whatever_a_draft_says(admin_client, challenge, user) -> None:
    before = challenge.save_revision()
    services.challenge_freeze(challenge=challenge, by=None)
    frozen = Challenge.objects.get(pk=challenge.pk).freeze_at
    before.publish()
    assert Challenge.objects.get(pk=challenge.pk).freeze_at == frozen
    form = "%Y-%m-%d %H:%M"
    rows = [
        {"id": p.pk, "name": p.name, "split": p.split_id, "starts_at": p.starts_at, "ends_at": p.ends_at}
        for p in challenge.phases.all()
    ]  # fmt: skip
    phases = [{k: v.strftime(form) if isinstance(v, datetime) else v for k, v in r.items()} for r in rows]  # fmt: skip
    address = reverse("wagtailsnippets_leaderboard_challenge:edit", args=[challenge.pk])
    dates = {
        "title": "Hues again", "slug": "hues", "phases-INITIAL_FORMS": 2,
        "opens_at": (challenge.opens_at - timedelta(days=1)).strftime(form),
        "closes_at": (challenge.closes_at + timedelta(days=1)).strftime(form),
    }  # fmt: skip
    for sent in ("", (frozen + timedelta(hours=1)).strftime(form)):
        answer = admin_client.post(address, snippet(challenge.benchmark, phases, **dates, freeze_at=sent))  # fmt: skip
        assert "stand still since" in answer.content.decode()
    shown = frozen.strftime(form)
    answer = admin_client.post(address, snippet(challenge.benchmark, phases, **dates, freeze_at=shown))  # fmt: skip
    assert answer.status_code == 302
    now = Challenge.objects.get(pk=challenge.pk)
    assert (now.title, now.freeze_at) == ("Hues again", frozen)


def test_a_phase_with_submissions_stays(admin_client, challenge, user) -> None:
    join(challenge, user)
    submit(challenge, user)
    address = reverse("wagtailsnippets_leaderboard_challenge:edit", args=[challenge.pk])
    form = "%Y-%m-%d %H:%M:%S"
    rows = [
        {
            "id": p.pk, "name": p.name, "split": p.split_id,
            "starts_at": p.starts_at.strftime(form), "ends_at": p.ends_at.strftime(form),
        }
        for p in challenge.phases.all()
    ]  # fmt: skip
    dates = {
        "title": "Hues", "slug": "hues", "phases-INITIAL_FORMS": 2,
        "opens_at": (challenge.opens_at - timedelta(days=1)).strftime(form),
        "closes_at": (challenge.closes_at + timedelta(days=1)).strftime(form),
    }  # fmt: skip
    gone = snippet(challenge.benchmark, [{**rows[0], "DELETE": "on"}, rows[1]], **dates)
    answer = admin_client.post(address, gone)
    assert answer.status_code == 200
    assert "has submissions: it cannot go" in answer.content.decode()
    other = snippet(challenge.benchmark, [{**rows[0], "split": rows[1]["split"]}, rows[1]], **dates)
    assert "submissions to another split" in admin_client.post(address, other).content.decode()
    assert (
        admin_client.post(address, snippet(challenge.benchmark, rows, **dates)).status_code == 302
    )
    assert challenge.phases.count() == 2
