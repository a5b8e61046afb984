"""Taking one's data away, and deleting one's account: every table is looked through."""

import asyncio
import csv
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.files.storage import storages
from django.db import connection
from django.test import Client
from django.utils import timezone
from wagtail.models import Comment, ModelLogEntry, Page, PageLogEntry, PageSubscription
from wagtail.users.models import UserProfile

from inference import personal, sealing
from inference.models import Job
from inference.personal import Rule
from inference.tuning.models import TuningRun
from leaderboard.models import (
    Entry,
    LogLine,
    Membership,
    QuotaLine,
    Submission,
)
from playground.models import Session
from pricing import services
from pricing.models import (
    AccountDeletion,
    ApiKey,
    DataExport,
    LedgerAccount,
    LedgerEntry,
)
from tests.authorisation.scene import build

pytestmark = pytest.mark.django_db


def links() -> set[str]:
    """Every relation of any table to an account, by "app.Model.field"."""
    user = get_user_model()
    return {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_fields + model._meta.local_many_to_many
        if field.is_relation and field.related_model is user
    }


def test_every_relation_to_an_account_has_a_rule() -> None:
    ruled = {name for room in personal.rooms() for name in room.rules}
    assert sorted(links() - ruled) == [], "Say in the room's personal.py what becomes of it."
    assert sorted(ruled - links()) == []


def test_rules_are_what_the_database_does_by_itself() -> None:
    """A row that goes with its account by a cascade is not promised to stay, and the other way round."""
    by_cascade = {
        f"{model._meta.label}.{field.name}": field.remote_field.on_delete.__name__
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_fields
        if field.is_relation and field.related_model is get_user_model()
    }
    rules = {name: rule for room in personal.rooms() for name, rule in room.rules.items()}
    for name, on_delete in by_cascade.items():
        expected = {"CASCADE": Rule.DELETE, "SET_NULL": Rule.DETACH, "DO_NOTHING": Rule.DETACH}
        assert rules[name] == expected[on_delete], name


# One person with something in every room, beside others.

NAME = "owner"
ADDRESS = "owner@example.org"
SECOND = "owner-at-work@lab.example"


@pytest.fixture
def scene(starter: Any, settings: Any, tmp_path: Any) -> Any:
    settings.IMAGE_STORE_DIR = tmp_path / "images"
    found = build()
    owner = found.people["owner"]
    # What the scene has others call alike.
    ApiKey.objects.exclude(user=owner).update(name="key-of-somebody-else")
    Submission.objects.exclude(created_by=owner).update(contact="")
    owner.first_name, owner.last_name = "Odalys", "Ownerby"
    owner.save()
    EmailAddress.objects.create(user=owner, email=SECOND, verified=True)
    SocialAccount.objects.create(
        user=owner,
        provider="orcid",
        uid="0000-0002-1825-0097",
        extra_data={"name": "Odalys Ownerby"},
    )
    Authenticator.objects.create(user=owner, type="totp", data={"secret": "totp-secret-of-owner"})
    page = Page.objects.filter(depth=2).first()
    Comment.objects.create(
        page=page, user=owner, text="Odalys Ownerby was here", contentpath="title"
    )
    PageSubscription.objects.create(page=page, user=owner, comment_notifications=True)
    PageLogEntry.objects.create(
        page=page, content_type=page.content_type, label="Home", action="wagtail.edit", user=owner,
        timestamp=timezone.now(),
    )  # fmt: skip
    UserProfile.objects.get_or_create(user=owner)
    from django.contrib.contenttypes.models import ContentType

    ModelLogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(owner), object_id=str(owner.pk), label=ADDRESS,
        action="wagtail.edit", timestamp=timezone.now(), user=found.people["admin"], data={"who": ADDRESS},
    )  # fmt: skip
    return found


def everything() -> dict[str, str]:
    """All rows of all tables as text, by table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" t")
            found[table] = cursor.fetchone()[0]
    return found


def ask(user: Any) -> AccountDeletion:
    return services.deletion_request(user=user, typed=ADDRESS)


def erase(user: Any) -> None:
    deletion = ask(user)
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now())
    assert services.account_erase(deletion_id=deletion.pk)


def test_nothing_of_an_erased_account_is_left_in_any_table(scene: Any) -> None:
    owner = scene.people["owner"]
    team = scene.team
    team.members.remove(scene.people["removed"])
    assert any(ADDRESS in rows for rows in everything().values())
    tokens = [ADDRESS, SECOND, "Odalys", "Ownerby", "totp-secret-of-owner", "0000-0002-1825-0097",
              "contact-of-owner", "Team of owner", *scene.secrets.values()]  # fmt: skip
    # Of these others are told, or they are of others.
    others = {
        scene.secrets[n]
        for n in ("reference", "members", "document", "draft")
        if n in scene.secrets
    }
    before = {
        "entries": set(LedgerEntry.objects.values_list()), "log": LogLine.objects.filter(is_public=True).count(),
        "shown": Entry.objects.count(), "quota": QuotaLine.objects.count(),
    }  # fmt: skip
    files = set(_files())
    erase(owner)
    left = {
        (table, token)
        for table, rows in everything().items()
        for token in set(tokens) - others
        # An invoice names whom it was issued to, and is kept as the law on taxes asks.
        if token in rows and (table, token) != ("pricing_invoice", scene.secrets["invoice"])
    }
    assert sorted(left) == []
    for label in links():
        model, field = label.rsplit(".", 1)
        rows = apps.get_model(model)._default_manager.filter(**{field: owner.pk})
        assert not rows.exists(), label
    # The books and the log are whole.
    assert before["entries"] <= set(LedgerEntry.objects.values_list())
    assert LogLine.objects.filter(is_public=True).count() >= before["log"]
    assert QuotaLine.objects.count() == before["quota"]
    assert Entry.objects.count() == before["shown"]
    assert LedgerAccount.objects.filter(user=None, network="", is_house=False).exists()
    # And files: uploads, checkpoints and hidden predictions went.
    gone = files - set(_files())
    assert any("tuning/" in name for name in gone)
    # Others keep what is theirs.
    assert get_user_model().objects.filter(username="other").exists()
    assert Submission.objects.filter(created_by=scene.people["other"]).exists()


def _files(folder: str = "") -> list[str]:
    storage = storages["private"]
    folders, names = storage.listdir(folder)
    found = [f"{folder}/{name}".strip("/") for name in names]
    for inner in folders:
        found += _files(f"{folder}/{inner}".strip("/"))
    return found


def test_erasing_twice_and_after_a_failure_goes_on(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = scene.people["owner"]
    scene.team.members.remove(scene.people["removed"])
    deletion = ask(owner)
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now())
    room = personal.rooms()[-1]

    def away(user: Any) -> None:
        raise OSError("the storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(room, "erase", away)
        with pytest.raises(OSError, match="away"):
            services.account_erase(deletion_id=deletion.pk)
    owner.refresh_from_db()
    assert not owner.is_active
    assert services.account_erase(deletion_id=deletion.pk)
    assert not services.account_erase(deletion_id=deletion.pk)
    assert not get_user_model().objects.filter(pk=owner.pk).exists()
    row = AccountDeletion.objects.get(pk=deletion.pk)
    assert row.user_id is None
    assert row.erased_at is not None


def test_keys_and_work_end_at_once_and_can_be_undone(scene: Any) -> None:
    owner = scene.people["owner"]
    scene.team.members.remove(scene.people["removed"])
    client, elsewhere = scene.clients["owner"], Client()
    elsewhere.force_login(owner)
    UserSession.objects.create(
        user=owner, session_key=elsewhere.session.session_key, ip="203.0.113.9"
    )
    _, secret = services.key_make(user=owner, name="late", scopes=["infer"])
    job = Job.objects.filter(pk=scene.job_id).first() if hasattr(scene, "job_id") else None
    ask(owner)
    assert not ApiKey.objects.filter(user=owner, revoked_at=None).exists()
    answer = Client().get("/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
    assert not TuningRun.objects.filter(
        finetune__owner=owner, status__in=("queued", "running", "paused"), wish=""
    ).exists()
    if job is not None:
        job.refresh_from_db()
        assert job.is_finished
    assert elsewhere.get("/account/").status_code == 302
    assert "will be deleted" in client.get("/account/").content.decode()
    with pytest.raises(Exception, match="to be deleted"):
        services.key_make(user=owner, name="another", scopes=["infer"])
    # Before its time nothing is erased; undone, never.
    deletion = AccountDeletion.objects.get(user=owner)
    assert not services.account_erase(deletion_id=deletion.pk)
    assert client.post("/account/delete/keep/").status_code == 302
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now() - timedelta(days=1))
    assert services.deletions_due() == []
    assert not services.account_erase(deletion_id=deletion.pk)
    services.key_make(user=owner, name="again", scopes=["infer"])
    client.post("/account/delete/keep/")  # once more changes nothing


def test_a_sole_owner_hands_over_first(scene: Any) -> None:
    owner = scene.people["owner"]  # "removed" is in the team again
    scene.team.members.add(scene.people["other"])
    page = scene.clients["owner"].get("/account/delete/").content.decode()
    assert "only owner of Team of owner" in page
    assert 'name="typed"' not in page
    with pytest.raises(Exception, match="only owner"):
        ask(owner)
    assert ApiKey.objects.filter(user=owner, revoked_at=None).exists()


def test_who_joins_meanwhile_does_not_keep_an_account_and_runs_the_team(scene: Any) -> None:
    owner, other = scene.people["owner"], scene.people["other"]
    deletion = ask(owner)
    Membership.objects.create(team=scene.team, user=other, role="member")
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now())
    assert services.account_erase(deletion_id=deletion.pk)
    assert dict(scene.team.memberships.values_list("user", "role")) == {other.pk: "owner"}
    # What the team submitted is the team's.
    assert Submission.objects.filter(pk=scene.private.pk, created_by=None, contact="").exists()


def test_the_last_admin_stays() -> None:
    boss = get_user_model().objects.create_superuser("boss", ADDRESS, "correct horse")
    with pytest.raises(Exception, match="only admin"):
        ask(boss)
    second = get_user_model().objects.create_superuser(
        "second", "second@example.org", "correct horse"
    )
    deletion = ask(boss)
    second.delete()
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now())
    assert not services.account_erase(deletion_id=deletion.pk)
    boss.refresh_from_db()
    assert boss.is_active


def _reader(name: str = "rea") -> tuple[Any, Client]:
    user = get_user_model().objects.create_user(name, f"{name}@example.org", "correct horse")
    client = Client()
    client.force_login(user)
    return user, client


def test_deleting_asks_for_the_password_and_the_address() -> None:
    user, client = _reader()
    asked = client.post("/account/delete/", {"typed": user.email})
    assert asked.status_code == 302
    assert asked["Location"].startswith("/account/reauthenticate/")
    assert not AccountDeletion.objects.exists()
    wrong = client.post(asked["Location"], {"password": "wrong"})
    assert wrong.status_code == 200
    assert not AccountDeletion.objects.exists()
    client.post("/account/delete/", {"typed": user.email})  # is kept until the password is given
    assert client.post(asked["Location"], {"password": "correct horse"}).status_code == 302
    assert AccountDeletion.objects.filter(user=user).count() == 1
    client.post("/account/delete/keep/")
    refused = client.post("/account/delete/", {"typed": "someone@else.org"})
    assert refused.status_code == 422
    assert "That is not this account." in refused.content.decode()
    assert services.deletion_pending(user) is None


def test_a_deletion_is_told_by_mail_and_so_is_its_end() -> None:
    user, _ = _reader()
    deletion = services.deletion_request(user=user, typed="REA@example.org ")
    assert services.deletion_request(user=user, typed=user.email) == deletion
    AccountDeletion.objects.filter(pk=deletion.pk).update(due_at=timezone.now())
    from pricing.tasks import account_erase

    account_erase(deletion.pk)
    assert [letter.subject for letter in mail.outbox] == [
        "[Moondream hub] Your account will be deleted", "[Moondream hub] Your account is deleted",
    ]  # fmt: skip
    assert mail.outbox[-1].to == ["rea@example.org"]


# The archive.


def archive_of(user: Any) -> zipfile.ZipFile:
    export = services.export_request(user=user)
    services.export_make(export_id=export.pk)
    return opened(user, export.pk)


def opened(user: Any, export_id: int) -> zipfile.ZipFile:
    export, pieces = services.export_open(user=user, export_id=export_id)
    content = b"".join(pieces)
    assert len(content) == export.size_bytes
    found = zipfile.ZipFile(io.BytesIO(content))
    assert found.testzip() is None
    return found


def test_an_archive_has_all_of_its_person_and_nothing_of_others(scene: Any) -> None:
    owner = scene.people["owner"]
    archive = archive_of(owner)
    names = archive.namelist()
    assert len(names) == len(set(names))
    texts = {
        n: archive.read(n).decode(errors="replace") for n in names if n.endswith((".json", ".csv"))
    }
    whole = "\n".join(texts.values())
    for token in (
        ADDRESS,
        SECOND,
        "0000-0002-1825-0097",
        *(
            scene.secrets[n]
            for n in ("submission", "contact", "key", "application", "asked", "proposal")
        ),
    ):
        assert token in whole, token
    assert "other@example.org" not in whole
    assert "model-of-another-team" not in whole
    assert "totp-secret-of-owner" not in whole
    assert scene.secrets["reference"] not in whole
    for key in ApiKey.objects.all():
        assert key.digest not in whole
    # Real rows: as many as there are.
    assert (
        len(json.loads(texts["playground/sessions.json"]))
        == Session.objects.filter(owner=owner).count()
        > 0
    )
    assert (
        len(json.loads(texts["tuning/runs.json"]))
        == TuningRun.objects.filter(finetune__owner=owner).count()
        > 0
    )
    ledger = list(csv.DictReader(io.StringIO(texts["usage/ledger.csv"])))
    assert len(ledger) == LedgerEntry.objects.filter(account__user=owner).count() > 0
    assert any(n.startswith("playground/images/") for n in names)
    # What a sealed phase does not tell its team yet, the archive does not either.
    sealed = next(
        s
        for s in json.loads(texts["leaderboards/submissions.json"])
        if s["model_name"] == scene.secrets["sealed"]
    )
    assert sealed["is_sealed"]
    assert sealed["scores"] == {}
    assert any(s["scores"] for s in json.loads(texts["leaderboards/submissions.json"]))


def test_an_archive_lies_sealed_and_goes_when_its_time_is_over() -> None:
    user, client = _reader()
    export = services.export_request(user=user)
    with pytest.raises(Exception, match="is being made"):
        services.export_request(user=user)
    assert "Waits for a worker" in client.get("/account/data/").content.decode()
    services.export_make(export_id=export.pk)
    export.refresh_from_db()
    with storages["private"].open(export.file) as stored:
        sealed = stored.read()
    assert b"PK" not in sealed[:4]
    assert b"rea@example.org" not in sealed
    assert [letter.subject for letter in mail.outbox] == ["[Moondream hub] Your data is ready"]
    services.export_make(export_id=export.pk)  # delivered again
    assert DataExport.objects.get(pk=export.pk).attempt == 1
    DataExport.objects.filter(pk=export.pk).update(expires_at=timezone.now())
    assert client.get(f"/account/data/{export.pk}/").status_code == 404
    services.exports_care()
    assert not storages["private"].exists(export.file)
    assert DataExport.objects.get(pk=export.pk).state == "expired"


def test_only_its_owner_downloads_an_archive() -> None:
    user, client = _reader()
    _, stranger = _reader("eve")
    export = services.export_request(user=user)
    services.export_make(export_id=export.pk)
    path = f"/account/data/{export.pk}/"
    assert stranger.get(path).status_code == 404
    assert Client().get(path).status_code == 302
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="moondream-hub-data-')
    assert answer["Cache-Control"].startswith("max-age=0, no-cache, no-store")

    async def received() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    archive = zipfile.ZipFile(io.BytesIO(asyncio.run(received())))
    assert json.loads(archive.read("account/profile.json"))["email"] == user.email


def test_an_archive_asks_for_the_password() -> None:
    user, client = _reader()
    asked = client.post("/account/data/")
    assert asked["Location"].startswith("/account/reauthenticate/")
    assert not DataExport.objects.exists()
    client.post(asked["Location"], {"password": "correct horse"})
    assert DataExport.objects.filter(user=user).count() == 1


def test_a_new_archive_takes_the_place_of_the_last() -> None:
    user, _ = _reader()
    first = services.export_request(user=user)
    services.export_make(export_id=first.pk)
    first.refresh_from_db()
    second = services.export_request(user=user)
    assert not storages["private"].exists(first.file)
    services.export_make(export_id=second.pk)
    assert "account/profile.json" in opened(user, second.pk).namelist()


def test_a_lost_worker_is_followed_by_another_and_a_hopeless_one_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, client = _reader()
    export = services.export_request(user=user)
    DataExport.objects.filter(pk=export.pk).update(
        state="running", attempt=1, advanced_at=timezone.now() - timedelta(minutes=5)
    )
    sent: list[Any] = []
    monkeypatch.setattr(
        "pricing.tasks.data_export_make.apply_async", lambda args, **_: sent.append(args)
    )
    services.exports_care()
    services.exports_care()
    assert sent == [(export.pk,)]

    def away(*_: Any, **__: Any) -> Any:
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr("inference.personal.export", away)
        services.export_make(export_id=export.pk)
        services.export_make(export_id=export.pk)
    assert DataExport.objects.get(pk=export.pk).state == "failed"
    assert "could not be made" in client.get("/account/data/").content.decode()
    assert mail.outbox[-1].subject == "[Moondream hub] Your data could not be collected"


@pytest.mark.parametrize("size", [0, 1, sealing.PIECE, sealing.PIECE + 1, 3 * sealing.PIECE])
def test_sealed_files_come_back_whole_or_not_at_all(size: int) -> None:
    content = bytes(n * 7 % 251 for n in range(1000)) * (size // 1000 + 1)
    content = content[:size]
    key, target = sealing.new_file_key(), io.BytesIO()
    writer = sealing.SealedWriter(target, key)
    writer.write(content[: size // 3])
    writer.write(content[size // 3 :])
    writer.close()
    sealed, kept = target.getvalue(), sealing.seal_key(key)
    assert b"".join(sealing.unsealed(io.BytesIO(sealed), kept)) == content
    piece = sealing.PIECE + 16
    broken = [sealed[:-1], sealed + b"x", bytes([sealed[0] ^ 1]) + sealed[1:]]
    if size > sealing.PIECE:
        broken += [sealed[:piece], sealed[piece:] + sealed[:piece]]
    for one in broken:
        with pytest.raises(sealing.SealBroken):
            list(sealing.unsealed(io.BytesIO(one), kept))
    with pytest.raises(sealing.SealBroken):
        list(sealing.unsealed(io.BytesIO(sealed), sealing.seal_key(sealing.new_file_key())))
