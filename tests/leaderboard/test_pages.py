"""The table, the form, accounts and keys, the API and the client module, as people meet them."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.utils import timezone

from leaderboard import services
from leaderboard.models import Entry, Submission
from pricing import selectors as pricing
from pricing import services as keys
from pricing.models import ApiKey
from tests.leaderboard.conftest import predictions

pytestmark = pytest.mark.django_db


def _rows(split: Any, count: int) -> None:
    Entry.objects.bulk_create(
        Entry(
            benchmark=split.benchmark, provenance="verified", model_name=f"Model {n:03}", team_name=f"team {n % 7}",
            parameters=10**6 * (n + 1) ** 3, precision=("8-bit", "FP32")[n % 2], open_weights=n % 3 == 0,
            figures={"exact_match": {"value": n / count, "low": n / count, "high": n / count}},
            score=n / count, rank=count - n, scored_at=timezone.now(),
        )
        for n in range(count)
    )  # fmt: skip


def test_a_table_is_few_queries_however_long(client, split, django_assert_max_num_queries) -> None:
    _rows(split, 200)
    client.get("/leaderboards/colours/")
    with django_assert_max_num_queries(8):
        page = client.get("/leaderboards/colours/").content.decode()
    assert "Model 199" in page
    assert "Page 1 of 8" in page
    with django_assert_max_num_queries(8):
        client.get("/leaderboards/")


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("", "Model 099", 100), ("?sort=up-exact_match", "Model 000", 100), ("?sort=parameters", "Model 099", 100),
        ("?sort=up-parameters&precision=FP32", "Model 001", 50), ("?size=1b", "Model 009", 10),
        ("?open=1", "Model 099", 34), ("?q=model+04", "Model 049", 10), ("?q=team+3", "Model 094", 14),
        ("?provenance=reproduced", None, 0), ("?sort=drop+table&page=x&size=?", "Model 099", 100),
    ],
)  # fmt: skip
def test_filters_and_order(client, split, query, first, count) -> None:
    _rows(split, 100)
    page = client.get(f"/leaderboards/colours/{query}").content.decode()
    found = re.findall(r'class="board__model"><a[^>]*>([^<]+)', page)
    if first is None:
        assert not found
        assert "No entry is like that" in page
        return
    assert found[0] == first
    assert f"{count} entries" in page


def test_htmx_gets_the_table_alone(client, split) -> None:
    _rows(split, 3)
    part = client.get("/leaderboards/colours/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Model 002" in part


def test_exports_hold_all_and_no_formula(client, split) -> None:
    _rows(split, 30)
    Entry.objects.filter(model_name="Model 003").update(model_name="=cmd()")
    rows = client.get("/api/leaderboards/colours/entries").json()
    assert len(rows) == 30
    assert rows[0]["exact_match"] == pytest.approx(100 * 29 / 30)
    text = client.get("/api/leaderboards/colours/entries?format=csv").content.decode()
    assert text.splitlines()[0].startswith("rank,rank_first")
    assert "'=cmd()" in text


def test_everything_public_can_be_taken_away(client, send, split) -> None:
    made = send(20)
    send(10, name="Private", is_public=False)
    body = client.get("/api/leaderboards/export.jsonl").getvalue()
    records = [json.loads(line) for line in body.splitlines()]
    kinds = {r["kind"] for r in records}
    assert kinds >= {"benchmark", "submission", "score", "row", "log"}
    assert [r["id"] for r in records if r["kind"] == "submission"] == [str(made.pk)]
    assert all(r["submission"] == str(made.pk) for r in records if r["kind"] == "score")
    assert b"secret" not in body
    assert b"Private" not in body


def test_nothing_there_yet_says_so(client, split) -> None:
    assert "No entry yet" in client.get("/leaderboards/colours/").content.decode()
    assert client.get("/leaderboards/none/").status_code == 404
    assert client.get("/leaderboards/challenges/")["Location"] == "/research/challenges/"
    assert client.get("/leaderboards/compare/?a=x&b=y").status_code == 404


def _key(user: Any, *scopes: str) -> str:
    return keys.key_make(user=user, name="notebook", scopes=list(scopes) or ["submit"])[1]


def _post(client: Client, path: str, secret: str = "", **fields: Any) -> Any:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return client.post(f"/api/leaderboards/{path}", fields, headers=headers)


def _file(right: int = 10, total: int = 40) -> Any:
    file = predictions(right, total)
    file.name = "predictions.jsonl"
    return file


def test_the_api_takes_scores_and_shows(client, split, user) -> None:
    secret = _key(user)
    refused = _post(client, "colours/submissions", model_name="M", file=_file())
    assert refused.status_code == 401
    assert refused["Content-Type"] == "application/problem+json"
    made = _post(
        client,
        "colours/submissions",
        secret,
        model_name="My model",
        parameters="1.9B",
        file=_file(),
    )
    assert made.status_code == 202, made.content
    body = made.json()
    assert (body["status"], body["waiting_before"], body["quota"]["today"]) == ("queued", 0, 2)
    services.submission_score(submission_id=body["id"])
    auth = {"Authorization": f"Bearer {secret}"}
    found = client.get(f"/api/leaderboards/submissions/{body['id']}", headers=auth).json()
    assert found["scores"]["exact_match"]["value"] == 25.0
    assert found["status"] == "scored"
    hidden = client.patch(
        f"/api/leaderboards/submissions/{body['id']}",
        {"is_public": False},
        "application/json",
        headers=auth,
    )
    assert hidden.json()["is_public"] is False
    assert not Entry.objects.exists()
    gone = client.post(f"/api/leaderboards/submissions/{body['id']}/withdraw", headers=auth)
    assert gone.json()["status"] == "withdrawn"
    assert client.get("/api/leaderboards/colours/quota", headers=auth).json()["today"] == 2


def test_the_api_names_what_is_wrong(client, split, user) -> None:
    secret = _key(user)
    bad = _file(3, 5)
    answer = _post(client, "colours/check", secret, file=bad)
    assert answer.status_code == 422
    body = answer.json()
    assert body["type"] == "urn:moondream:problem:bad_predictions"
    assert body["missing"] == 35
    assert _post(client, "colours/check", secret, file=_file()).json() == {
        "valid": True,
        "items": 40,
        "lines": 40,
    }
    assert not Submission.objects.exists()
    assert _post(client, "none/check", secret, file=_file()).status_code == 404
    assert (
        _post(client, "colours/check", secret, file=_file(), split="x").json()["detail"]
        == "There is: dev, test."
    )
    wrong = _post(
        client, "colours/submissions", secret, model_name="M!", precision="1", file=_file()
    )
    assert wrong.json()["field"] == "precision"
    assert (
        _post(
            client, "colours/submissions", _key(user, "infer"), model_name="MM", file=_file()
        ).status_code
        == 403
    )


def test_a_session_needs_its_csrf_token(split, user) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    answer = strict.post("/api/leaderboards/colours/check", {"file": _file()})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:moondream:problem:csrf")


def test_keys_are_shown_once_hashed_scoped_and_revoked(client, user) -> None:
    client.force_login(user)
    page = client.post(
        "/account/keys/", {"name": "notebook", "scopes": ["submit"]}
    ).content.decode()
    found = re.search(r"mdh_[0-9a-f]{8}_[\w-]{43}", page)
    assert found
    secret = found[0]
    key = ApiKey.objects.get()
    assert secret not in (key.digest, key.prefix)
    assert secret not in client.get("/account/keys/").content.decode()
    assert pricing.key_of(secret) == key
    assert pricing.key_of(secret[:-1] + "x") is None
    assert pricing.key_of("mdh_00000000_x") is None
    assert pricing.key_of("anything") is None
    assert (
        "Give the key a name"
        in client.post("/account/keys/", {"scopes": ["submit"]}).content.decode()
    )
    assert "what the key is for" in client.post("/account/keys/", {"name": "x"}).content.decode()
    client.post(f"/account/keys/{key.pk}/revoke/")
    assert pricing.key_of(secret) is None
    user.is_active = False
    user.save()


def test_an_inactive_account_has_no_working_key(user) -> None:
    secret = _key(user)
    assert pricing.key_of(secret)
    user.is_active = False
    user.save()
    assert pricing.key_of(secret) is None


def test_an_account_from_sign_up_to_a_new_password(client) -> None:
    assert client.get("/account/").status_code == 302
    answer = client.post("/account/signup/", {
        "email": "bea@example.org", "password1": "orange tractor 9", "password2": "orange tractor 9",
    })  # fmt: skip
    assert answer.status_code == 302, answer.content.decode()[:2000]
    assert "bea@example.org" in client.get("/account/").content.decode()
    client.post("/account/logout/")
    weak = client.post(
        "/account/signup/", {"email": "x@example.org", "password1": "123", "password2": "123"}
    )
    assert "too short" in weak.content.decode()
    mail.outbox.clear()
    client.post("/account/password/reset/", {"email": "bea@example.org"})
    link = re.search(r"https?://[^/]+(/\S+)", mail.outbox[0].body)
    assert link
    form = client.get(link[1], follow=True)
    path = form.redirect_chain[-1][0]
    client.post(path, {"password1": "violet tractor 8", "password2": "violet tractor 8"})
    assert client.login(email="bea@example.org", password="violet tractor 8")


def test_the_web_form_checks_and_submits(client, split, user) -> None:
    assert "Sign in" in client.get("/leaderboards/colours/submit/").content.decode()
    client.force_login(user)
    page = client.get("/leaderboards/colours/submit/").content.decode()
    assert "test 3" in page
    fields = {"split": "test", "model_name": "My model", "is_public": "on"}
    bad = client.post(
        "/leaderboards/colours/submit/", {**fields, "file": _file(3, 5), "submit": "1"}
    )
    assert "35 missing ids" in bad.content.decode()
    checked = client.post(
        "/leaderboards/colours/submit/", {**fields, "file": _file(), "check": "1"}, follow=True
    )
    assert "The file is right" in checked.content.decode()
    assert not Submission.objects.exists()
    made = client.post("/leaderboards/colours/submit/", {**fields, "file": _file(), "submit": "1"})
    own = Submission.objects.get()
    assert made["Location"] == own.get_absolute_url()
    assert "next in line" in client.get(made["Location"]).content.decode()
    services.submission_score(submission_id=own.pk)
    assert "25.0" in client.get(made["Location"]).content.decode()
    client.post(f"/leaderboards/submissions/{own.pk}/hide/")
    own.refresh_from_db()
    assert not own.is_public
    client.post(f"/leaderboards/submissions/{own.pk}/withdraw/")
    own.refresh_from_db()
    assert own.status == "withdrawn"
    other = Client()
    assert other.get(own.get_absolute_url()).status_code == 302


def test_a_team_takes_a_name_nobody_has(client, split, user, send) -> None:
    client.force_login(user)
    team = services.team_of(user)
    assert re.fullmatch(r"team-[0-9a-f]{8}", team.name)  # gives nothing away
    client.post(f"/account/teams/{team.pk}/", {"team": "Vision group"})
    team.refresh_from_db()
    assert team.name == "Vision group"
    services.our_team()
    assert (
        "taken"
        in client.post(f"/account/teams/{team.pk}/", {"team": "moondream HUB"}).content.decode()
    )


def test_items_go_out_without_what_is_hidden(client, split) -> None:
    def lines(name: str) -> list[dict[str, Any]]:
        body = client.get(f"/api/leaderboards/colours/splits/{name}/items").getvalue()
        return [json.loads(line) for line in body.splitlines()]

    assert len(lines("test")) == 40
    assert set(lines("test")[0]) == {"id", "image_url", "prompt", "category"}
    assert lines("dev")[0]["reference"] == {"answers": ["secret0-red"]}


def test_the_front_page_charts_follow_the_tables(client, starter, send, split) -> None:
    def told() -> str:
        return client.get("/").content.decode()

    assert "Colours" not in told()
    send(30, name="Newcomer")
    page = told()  # a table made anew empties the page cache
    assert "Newcomer" in page
    other = get_user_model().objects.create_user("second", "second@example.org", "correct horse")
    send(10, name="Runner-up", by=other)
    assert "Runner-up" in told()
    assert "Scored here, on a hidden split" in page
