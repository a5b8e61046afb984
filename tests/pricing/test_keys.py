"""API keys: what they may do, when they end, and what comes of one that others know."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.utils import timezone

from inference.errors import DomainError, InvalidInput, NotFound
from inference.models import Job
from pricing import key_form, selectors, services
from pricing.models import ApiKey

pytestmark = pytest.mark.django_db
QUESTION = {"skill": "caption", "sample": "night"}


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "pw")


def bearer(secret: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}


def ask(secret: str, header: str = "HTTP_AUTHORIZATION") -> Any:
    sent = f"Bearer {secret}" if header == "HTTP_AUTHORIZATION" else secret
    return Client().post("/v1/jobs", QUESTION, **{header: sent})


@pytest.mark.parametrize("header", ["HTTP_AUTHORIZATION", "HTTP_X_MOONDREAM_AUTH"])
def test_a_key_of_ours_works_or_is_refused_and_any_other_string_is_a_label(
    starter: Any, ada: Any, header: str
) -> None:
    key, secret = services.key_make(user=ada, name="k", scopes=["infer"])
    assert ask(secret, header).status_code == 202
    assert Job.objects.get().owner_key != ""
    services.key_revoke(user=ada, key_id=key.pk)
    for bad in (secret, f"mdh_00000000_{'x' * 43}", "mdh_", f"{secret}x"):
        refused = ask(bad, header)
        assert refused.status_code == 401, bad
        assert refused.json()["error"]["code"] == "unauthorised"
        assert Client().get("/v1/models", **{header: f"Bearer {bad}" if header == "HTTP_AUTHORIZATION" else bad}).status_code == 401  # fmt: skip
    assert Job.objects.count() == 1
    for label in ("sk-anything", "mdx_00000000_x", "Mdh_x"):
        assert ask(label, header).status_code == 202, label


def test_a_key_ends_at_its_time(starter: Any, ada: Any) -> None:
    key, secret = services.key_make(user=ada, name="k", scopes=["infer"], days=30)
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert ask(secret).status_code == 202
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask(secret).status_code == 401
    ApiKey.objects.update(expires_at=None)
    get_user_model().objects.update(is_active=False)
    assert ask(secret).status_code == 401


def test_asking_needs_the_scope_and_notes_the_use(starter: Any, ada: Any) -> None:
    _, submit = services.key_make(user=ada, name="s", scopes=["submit"])
    refused = ask(submit)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_scope")
    assert Client().get("/v1/models", **bearer(submit)).status_code == 200
    asks, secret = services.key_make(user=ada, name="i", scopes=["infer"])
    assert asks.last_used_at is None
    ask(secret)
    asks.refresh_from_db()
    assert asks.last_used_at is not None


def test_a_key_that_only_reads_changes_nothing(starter: Any, ada: Any) -> None:
    _, secret = services.key_make(user=ada, name="r", scopes=["read"])
    quota = Client().get("/api/leaderboards/world-vqa/quota", **bearer(secret))
    assert quota.status_code == 200
    tuning = Client().get("/v1/tuning/finetunes", **bearer(secret))
    assert tuning.status_code == 200
    for path in ("/v1/tuning/finetunes", "/api/leaderboards/world-vqa/submissions", "/v1/jobs"):
        assert Client().post(path, {}, **bearer(secret)).status_code == 403, path


def test_rotation_lets_both_work_for_a_while(starter: Any, ada: Any) -> None:
    old, first = services.key_make(
        user=ada, name="lab", scopes=["infer", "submit"], days=90, per_minute=7
    )
    new, second = services.key_rotate(user=ada, key_id=old.pk, overlap_days=7)
    assert (new.name, new.scopes, new.per_minute) == ("lab", ["infer", "submit"], 7)
    assert new.expires_at is not None
    assert abs(new.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)
    assert ask(first).status_code == ask(second).status_code == 202
    old.refresh_from_db()
    assert old.replaced_by == new
    assert old.expires_at is not None
    assert old.expires_at < timezone.now() + timedelta(days=7, minutes=1)
    with pytest.raises(NotFound):
        services.key_rotate(user=ada, key_id=old.pk)
    newest, third = services.key_rotate(user=ada, key_id=new.pk, overlap_days=0)
    assert ask(second).status_code == 401
    assert ask(third).status_code == 202
    with pytest.raises(InvalidInput):
        services.key_rotate(user=ada, key_id=newest.pk, overlap_days=365)
    other = get_user_model().objects.create_user("eve")
    with pytest.raises(NotFound):
        services.key_rotate(user=other, key_id=newest.pk)


def test_rotating_never_lengthens_an_old_key_nor_makes_more_than_there_may_be(ada: Any) -> None:
    old, _ = services.key_make(user=ada, name="k", scopes=["infer"], days=30)
    ApiKey.objects.filter(pk=old.pk).update(expires_at=timezone.now() + timedelta(hours=1))
    services.key_rotate(user=ada, key_id=old.pk, overlap_days=30)
    old.refresh_from_db()
    assert old.expires_at is not None
    assert old.expires_at < timezone.now() + timedelta(hours=2)
    made = [services.key_make(user=ada, name="k", scopes=["infer"])[0] for _ in range(18)]
    with pytest.raises(DomainError, match="20 keys"):
        services.key_make(user=ada, name="k", scopes=["infer"])
    with pytest.raises(DomainError, match="20 keys"):
        services.key_rotate(user=ada, key_id=made[0].pk, overlap_days=7)
    services.key_rotate(user=ada, key_id=made[0].pk, overlap_days=0)  # one goes as one comes


@pytest.mark.parametrize("how", ["body", "header"])
def test_whoever_holds_a_key_may_end_it_and_its_owner_is_told(ada: Any, how: str) -> None:
    key, secret = services.key_make(user=ada, name="notebook", scopes=["submit"])
    sent = {"data": {"key": secret}} if how == "body" else bearer(secret)
    for _ in range(2):
        answer = Client().post("/api/keys/revoke", content_type="application/json", **sent)
        assert (answer.status_code, answer.json()) == (200, {"revoked": True})
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert [letter.to for letter in mail.outbox] == [["ada@example.org"]]
    assert "notebook" in mail.outbox[0].subject
    assert key.prefix in mail.outbox[0].body
    assert secret not in mail.outbox[0].body


@pytest.mark.parametrize("sent", ["", "mdh_x", f"mdh_00000000_{'x' * 43}", "\x00", "x" * 200])
def test_what_is_no_key_ends_none(ada: Any, sent: str) -> None:
    _, secret = services.key_make(user=ada, name="k", scopes=["submit"])
    answer = Client().post("/api/keys/revoke", {"key": sent}, content_type="application/json")
    assert answer.status_code in (400, 404, 422)
    assert selectors.key_of(secret) is not None


def test_a_key_s_own_limit_uses_nothing_of_the_account_s(
    starter: Any, ada: Any, settings: Any
) -> None:
    settings.KEY_RATE = "4/m"
    _, narrow = services.key_make(user=ada, name="n", scopes=["infer"], per_minute=2)
    _, wide = services.key_make(user=ada, name="w", scopes=["infer"])
    assert [ask(narrow).status_code for _ in range(4)] == [202, 202, 429, 429]
    assert [ask(wide).status_code for _ in range(3)] == [202, 202, 429]


def test_scanners_find_every_key_and_nothing_shorter(ada: Any) -> None:
    secrets = [key_form.made()[1] for _ in range(50)]
    for secret in secrets:
        assert re.fullmatch(key_form.PATTERN, secret)
        assert re.findall(key_form.PATTERN, f'KEY="{secret}"') == [secret]
    assert not re.search(key_form.PATTERN, "mdh_0a1b2c3d")


def test_the_page_makes_rotates_and_keeps_what_was_typed(ada: Any) -> None:
    client = Client()
    client.force_login(ada)
    words = {"name": "robot", "scopes": ["infer", "read"], "days": "90", "per_minute": "30"}
    page = client.post("/account/keys/", words).content.decode()
    found = re.search(key_form.PATTERN, page)
    assert found is not None
    key = ApiKey.objects.get()
    assert (key.scopes, key.per_minute) == (["infer", "read"], 30)
    assert found[0] not in client.get("/account/keys/").content.decode()
    bad = client.post("/account/keys/", words | {"per_minute": "0"})
    assert bad.status_code == 422
    assert 'value="robot"' in bad.content.decode()
    assert client.post("/account/keys/", words | {"days": "7"}).status_code == 422
    rotated = client.post(f"/account/keys/{key.pk}/rotate/", {"overlap": "1"})
    again = re.search(key_form.PATTERN, rotated.content.decode())
    assert again is not None
    assert again[0] != found[0]
    assert client.post(f"/account/keys/{key.pk}/rotate/", {"overlap": "1"}).status_code == 404
