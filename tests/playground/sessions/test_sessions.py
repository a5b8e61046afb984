"""Sessions: kept for who asked, for nobody else, and deleted for good."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from inference import services as inference
from inference.models import Job, StoredImage
from playground.models import Run, Session, Share
from playground.sessions import selectors, services
from playground.sessions.visitor import COOKIE, Visitor
from tests.images import plain
from tests.playground.sessions.conftest import ask, finish

pytestmark = pytest.mark.django_db
LIST = "/playground/sessions/"


def test_a_visitor_finds_what_they_asked_and_nobody_else_does(client: Client, save) -> None:
    saved = save(client, skill="query", question="How many moons?")
    assert client.cookies[COOKIE]["httponly"]
    assert client.cookies[COOKIE]["samesite"] == "Lax"
    page = client.get(LIST).content.decode()
    assert "How many moons?" in page
    assert "1 run ·" in page
    assert "two" in page
    whole = client.get(saved["url"]).content.decode()
    assert "How many moons?" in whole
    assert "40 ms" in whole
    stranger = Client()
    assert "How many moons?" not in stranger.get(LIST).content.decode()
    addresses = (saved["url"], f"{saved['url']}runs/", f"/playground/runs/{saved['run']}/image/")
    for address in addresses:
        assert client.get(address).status_code == 200, address
        assert stranger.get(address).status_code == 404, address
    for act in ("rename", "fork", "delete"):
        assert stranger.post(f"{saved['url']}{act}/").status_code == 404
    for act in ("share", "delete"):
        assert stranger.post(f"/playground/runs/{saved['run']}/{act}/").status_code == 404
    assert Run.objects.count() == 1


def test_a_made_up_cookie_is_nobodys(client: Client, save) -> None:
    save(client)
    for made_up in ("", "x", "a" * 32, "ä" * 32):
        stranger = Client()
        stranger.cookies[COOKIE] = made_up
        assert "No session yet" in stranger.get(LIST).content.decode()


def test_only_own_jobs_are_saved(client: Client, starter) -> None:
    job = ask(client)
    other = Client(REMOTE_ADDR="203.0.113.9")
    assert other.post("/playground/runs/", {"job": str(job.pk)}).status_code == 404
    for wrong in ("", "x", str(uuid4())):
        assert client.post("/playground/runs/", {"job": wrong}).status_code == 404
    assert not Session.objects.exists()
    assert not Job.objects.filter(is_kept=True).exists()


def test_runs_of_one_session_and_of_another(client: Client, save) -> None:
    first = save(client)
    again = save(client, session=first["session"], skill="point", object="star")
    assert again["session"] == first["session"]
    assert client.post("/playground/runs/", {"job": str(again["job"]), "session": again["session"]}).json()["run"] == again["run"]  # fmt: skip
    other = save(Client(), session=first["session"])
    assert other["session"] != first["session"], "another's session is as none"
    runs = client.get(f"{first['url']}runs/").json()["runs"]
    assert [run["skill"] for run in runs] == ["caption", "point"]
    assert runs[1]["end"]["result"]["points"]
    assert runs[1]["sample"] == "night"


def test_kept_jobs_and_images_outlive_the_purge_and_deleted_ones_do_not(
    client: Client, save
) -> None:
    file = SimpleUploadedFile("my photo.png", plain(40, 30))
    saved = save(client, image=file, sample="", name="my photo.png")
    loose = ask(client, sample="moon")
    finish(loose)
    long_ago = timezone.now() - timedelta(days=400)
    Job.objects.update(created_at=long_ago)
    StoredImage.objects.update(used_at=long_ago)
    inference.purge()
    assert not Job.objects.filter(pk=loose.pk).exists()
    assert client.get(f"/playground/runs/{saved['run']}/image/").content
    assert "my photo.png" in client.get(saved["url"]).content.decode()
    assert client.post(f"{saved['url']}delete/").status_code == 302
    assert not Job.objects.exists()
    assert not Session.objects.exists()
    inference.purge()
    assert not StoredImage.objects.exists()


def test_a_fork_keeps_what_the_first_loses(client: Client, save) -> None:
    first = save(client)
    save(client, session=first["session"], skill="query", question="Two?")
    fork = client.post(f"{first['url']}fork/")["Location"]
    assert "Short caption" in client.get(fork).content.decode() or "Normal caption" in client.get(fork).content.decode()  # fmt: skip
    client.post(f"{first['url']}delete/")
    text = client.get(fork).content.decode()
    assert "Two?" in text
    assert Job.objects.count() == 2
    client.post(f"{fork}delete/")
    assert Job.objects.count() == 0


def test_one_run_is_deleted_and_the_last_takes_the_session_along(client: Client, save) -> None:
    first = save(client)
    second = save(client, session=first["session"], skill="query", question="Two?")
    assert client.post(f"/playground/runs/{first['run']}/delete/")["Location"] == first["url"]
    assert Job.objects.count() == 1
    assert client.post(f"/playground/runs/{second['run']}/delete/")["Location"] == LIST
    assert not Session.objects.exists()


def test_a_running_job_is_cancelled_when_its_session_is_deleted(client: Client, save) -> None:
    saved = save(client, answered=False)
    Job.objects.update(status=Job.Status.RUNNING)
    client.post(f"{saved['url']}delete/")
    from inference import stream

    assert not Job.objects.exists()
    assert stream.cancel_requested(saved["job"])


def test_names_and_search(client: Client, save, django_assert_max_num_queries) -> None:
    saved = save(client, skill="query", question="Is there a Comet?")
    save(client, skill="detect", object="star")
    for number in range(30):
        save(client, skill="query", question=f"Question {number}?")
    with django_assert_max_num_queries(8):
        page = client.get(LIST).content.decode()
    assert "Page 1 of 2" in page
    found = client.get(LIST, {"q": "comet"}).content.decode()
    assert "Is there a Comet?" in found
    assert "Question 3?" not in found
    client.post(f"{saved['url']}rename/", {"name": "  Night   sky "})
    assert "Night sky" in client.get(LIST, {"q": "night sky comet"}).content.decode()
    client.post(f"{saved['url']}rename/", {"name": ""})
    assert (
        '<h1 class="ss-title">Is there a Comet?</h1>' in client.get(saved["url"]).content.decode()
    )
    assert "No session has that" in client.get(LIST, {"q": "nothing like it"}).content.decode()
    assert client.get(LIST, {"q": "%' OR 1=1 --"}).status_code == 200


def test_signing_in_takes_them_along(client: Client, save, django_user_model) -> None:
    save(client, skill="query", question="Before?")
    user = django_user_model.objects.create_user("ada", "ada@example.com", "a-good-password-1")
    client.force_login(user)  # sends user_logged_in, without the cookie's request
    session = Session.objects.get()
    services.sessions_adopt(user=user, visitor=Visitor(token=client.cookies[COOKIE].value))
    session.refresh_from_db()
    assert (session.owner, session.visitor) == (user, "")
    assert "Before?" in client.get(LIST).content.decode()
    client.logout()
    assert "Before?" not in client.get(LIST).content.decode()


def test_the_way_in_moves_them(client: Client, save, django_user_model) -> None:
    from allauth.account.models import EmailAddress

    save(client, skill="query", question="Before?")
    user = django_user_model.objects.create_user("ada", "ada@example.com", "a-good-password-1")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    answer = client.post("/account/login/", {"login": "ada@example.com", "password": "a-good-password-1"})  # fmt: skip
    assert answer.status_code == 302, answer.content
    assert Session.objects.get().owner == user


def test_what_is_left_is_deleted_in_the_end_but_for_accounts(client: Client, save, django_user_model) -> None:  # fmt: skip
    save(client)
    kept = Session.objects.create(owner=django_user_model.objects.create_user("ada"))
    Session.objects.update(used_at=timezone.now() - timedelta(days=31))
    assert services.sessions_purge() == 1
    assert Session.objects.get() == kept
    assert not Job.objects.exists()


def test_room_is_bounded_by_network_and_by_account(client: Client, save, settings, django_user_model) -> None:  # fmt: skip
    settings.SESSIONS_ANON_STORAGE_MB = 1
    save(client)
    StoredImage.objects.update(size_bytes=2**20)
    for visitor in (client, Client()):  # a new cookie is no new room
        refused = visitor.post("/playground/runs/", {"job": str(ask(visitor).pk)})
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "sessions_full"
    user = django_user_model.objects.create_user("ada")
    client.force_login(user)
    settings.SESSIONS_STORAGE_MB = 1
    saved = save(client)
    assert selectors.bytes_of(user) == 2**20
    assert client.post("/playground/runs/", {"job": str(ask(client).pk)}).status_code == 409
    client.post(f"{saved['url']}delete/")
    save(client)


def test_without_javascript_it_is_saved_too(client: Client, starter) -> None:
    answer = client.post("/playground/", {"skill": "query", "question": "How many?", "sample": "night"})  # fmt: skip
    assert answer.status_code == 302
    assert "How many?" in client.get(LIST).content.decode()


def test_a_session_is_only_of_one_owner(django_user_model) -> None:
    from django.db import IntegrityError, transaction

    user = django_user_model.objects.create_user("ada")
    for fields in ({}, {"owner": user, "visitor": "x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Session.objects.create(**fields)
    assert not Share.objects.exists()
