"""Signing in: one door with its limits for everybody, and a second step for staff."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from wagtail.models import Collection, CollectionViewRestriction, Page, PageViewRestriction

from leaderboard import services as leaderboards
from pricing import services as pricing

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
LOGIN = "/account/login/"


def code_now(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


@pytest.fixture
def boss() -> Any:
    return get_user_model().objects.create_superuser("boss", "boss@example.org", PASSWORD)


@pytest.fixture
def editor() -> Any:
    """Who may enter the CMS, and is not `is_staff`."""
    user = get_user_model().objects.create_user("edi", "edi@example.org", PASSWORD)
    group = Group.objects.create(name="Desk")
    group.permissions.add(Permission.objects.get(codename="access_admin"))
    user.groups.add(group)
    return user


@pytest.fixture
def reader() -> Any:
    return get_user_model().objects.create_user("rea", "rea@example.org", PASSWORD)


def sign_in(
    client: Client, login: str, password: str = PASSWORD, address: str = "203.0.113.1", **more: Any
) -> bool:
    client.post(LOGIN, {"login": login, "password": password}, REMOTE_ADDR=address, **more)
    return "_auth_user_id" in client.session


@pytest.mark.parametrize(
    ("path", "back"),
    [("/admin/login/", "/admin/"), ("/admin/login/?next=/admin/pages/", "/admin/pages/"),
     ("/admin/login/?next=//evil.test/", "/admin/"),
     ("/admin/login/?next=https://evil.test/", "/admin/"), ("/admin/login/?next=javascript:x", "/admin/"),
     ("/admin/login/?next=/\\evil.test", "/admin/")],
)  # fmt: skip
def test_every_door_is_the_site_s_own(client, boss, path: str, back: str) -> None:
    page = client.get(path).content.decode()
    assert 'name="username"' in page
    assert "evil.test" not in page
    assert client.post(path, {"username": "boss", "password": "wrong"}).status_code == 200
    assert client.post(path, {"username": "boss", "password": PASSWORD})["Location"] == back
    assert "_auth_user_id" in client.session


def test_readers_of_restricted_pages_sign_in_as_everybody(client) -> None:
    for query, back in (("?next=/docs/", "%2Fdocs%2F"), ("?next=//evil.test/", "%2Faccount%2F")):
        assert client.get(f"/_util/login/{query}")["Location"] == f"{LOGIN}?next={back}"
        assert client.post(f"/_util/login/{query}", {"username": "x"}).status_code == 302


DOORS_IN = ("/admin/login/", LOGIN)


@pytest.mark.parametrize("last", DOORS_IN)
def test_failures_at_all_doors_count_together(client, boss, last: str) -> None:
    def attempt(door: str, password: str, address: str = "203.0.113.1") -> bool:
        name = "login" if door == LOGIN else "username"
        form = {name: "boss", "password": password}
        client.post(door, form, REMOTE_ADDR=address)
        return "_auth_user_id" in client.session

    for number in range(5):
        assert not attempt(DOORS_IN[number % 2], "wrong")
    assert not attempt(last, PASSWORD)
    assert attempt(last, PASSWORD, "198.51.100.7")


def test_the_admins_door_asks_for_the_second_step(client, boss) -> None:
    TOTP.activate(boss, "A" * 32)
    answer = client.post("/admin/login/", {"username": "boss", "password": PASSWORD})
    assert answer["Location"].startswith("/account/2fa/authenticate/")
    assert "_auth_user_id" not in client.session
    client.post(answer["Location"], {"code": code_now("A" * 32)})
    assert "_auth_user_id" in client.session


def test_resets_and_changes_of_passwords_are_the_site_s_own(client, boss) -> None:
    for path in ("", "done/", "confirm/MQ/x-y/", "complete/"):
        assert client.get(f"/admin/password_reset/{path}")["Location"] == "/account/password/reset/"
    client.force_login(boss)
    page = client.get("/admin/account/").content.decode()
    assert 'type="password"' not in page
    assert 'type="email"' not in page


def test_who_may_not_pass_is_told_and_not_sent_in_circles(client, reader) -> None:
    client.force_login(reader)
    for path in ("/admin/", "/admin/pages/"):
        answer = client.get(path, follow=True)
        assert answer.status_code == 403
        assert "may not open this page" in answer.content.decode()
    page = Page.objects.get(depth=2)
    rule = PageViewRestriction.objects.create(page=page, restriction_type="groups")
    rule.groups.add(Group.objects.create(name="Board"))
    assert client.get(page.url, follow=True).status_code == 403


def test_failures_count_for_an_account_whatever_it_is_called_and_wherever(client, boss) -> None:
    names = ("boss", "BOSS", "boss@example.org", "Boss@Example.org", " boss ")
    for number, name in enumerate(names):
        assert not sign_in(client, name, "wrong", HTTP_HOST=f"testserver:{8000 + number}")
    assert not sign_in(client, "boss")
    assert not sign_in(client, "boss@example.org", HTTP_HOST="testserver:9999")
    # From elsewhere the right password is right.
    assert sign_in(client, "boss", address="198.51.100.7")


def test_an_address_that_tries_many_accounts_is_stopped(client, boss) -> None:
    for number in range(10):
        assert not sign_in(client, f"somebody{number}", "wrong")
    assert not sign_in(client, "boss")
    assert sign_in(client, "boss", address="198.51.100.7")


def test_many_addresses_together_have_a_limit_too(client, boss) -> None:
    for number in range(100):
        sign_in(client, "boss", "wrong", address=f"198.51.{number}.7")
    assert not sign_in(client, "boss", address="192.0.2.1")


def test_right_passwords_cost_nothing(boss) -> None:
    for _ in range(12):
        assert sign_in(Client(), "boss")


@pytest.mark.parametrize("login", ["\0", "a\0b@x.org", "x" * 5000, "@", "é" * 300, "a@b\n"])
def test_odd_logins_are_refused(client, login: str) -> None:
    answer = client.post(LOGIN, {"login": login, "password": "x"})
    assert answer.status_code == (400 if "\0" in login else 200)


def test_an_admin_without_an_address_signs_in_where_mail_is_verified(client, settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    get_user_model().objects.create_superuser("root", "", PASSWORD)
    assert sign_in(client, "root")
    get_user_model().objects.create_user("new", "new@example.org", PASSWORD)
    assert not sign_in(Client(), "new@example.org")  # that address has to be verified


@pytest.mark.parametrize("door", ["page", "collection"])
def test_guesses_of_a_shared_password_are_limited(client, starter, door: str) -> None:
    if door == "page":
        page = Page.objects.get(slug="docs", depth=3)
        rule: Any = PageViewRestriction.objects.create(
            page=page, restriction_type="password", password="sesame"
        )
        address = f"/_util/authenticate_with_password/{rule.pk}/{page.pk}/"
    else:
        rule = CollectionViewRestriction.objects.create(
            collection=Collection.get_first_root_node(),
            restriction_type="password",
            password="sesame",
        )
        address = f"/documents/authenticate_with_password/{rule.pk}/"
    for _ in range(10):
        assert client.post(address, {"password": "no", "return_url": "/"}).status_code == 200
    right = {"password": "sesame", "return_url": "/docs/"}
    assert client.post(address, right).status_code == 429
    assert client.post(address, right, REMOTE_ADDR="198.51.100.7").status_code == 302


# A second step for staff

DOORS = ("/admin/", "/admin/pages/", "/admin/account/", "/styleguide/", "/account/",
         "/account/password/change/", "/account/keys/", "/",
         "/admin/pages/3/view_draft/", "/admin/pages/3/edit/preview/", "/documents/1/x.pdf")  # fmt: skip


@pytest.fixture
def required(settings) -> None:
    settings.REQUIRE_STAFF_MFA = True


def test_without_the_setting_nothing_is_asked(client, boss, starter) -> None:
    client.force_login(boss)
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("who", ["boss", "editor"])
def test_staff_without_a_second_step_reach_only_its_setup(
    client, starter, required, request, who: str
) -> None:
    client.force_login(request.getfixturevalue(who))
    for method in (client.get, client.post, client.head):
        for path in DOORS:
            answer = method(path)
            assert answer.status_code == 302, path
            assert answer["Location"].startswith("/account/2fa/totp/activate/"), path
    for path in ("/v1/jobs", "/api/leaderboards/world-vqa/quota", "/api/openapi.json", "/v1/query"):
        for answer in (client.get(path), client.post(path, {}, content_type="application/json")):
            assert answer.status_code == 403, path
            assert "mfa_required" in answer.content.decode()
    assert client.get("/account/2fa/totp/activate/", follow=True).status_code == 200
    client.post("/account/logout/")
    assert client.get("/").status_code == 200


def test_others_need_no_second_step(client, starter, reader, required) -> None:
    client.force_login(reader)
    assert client.get("/account/").status_code == 200
    assert client.get("/").status_code == 200


def test_a_key_of_the_api_goes_on(client, starter, boss, required) -> None:
    leaderboards.team_of(boss)
    _, secret = pricing.key_make(user=boss, name="script", scopes=["submit"])
    answer = client.get(
        "/api/leaderboards/world-vqa/quota", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 200


def test_setting_it_up_opens_the_doors_and_then_it_is_asked_for(
    client, boss, starter, required
) -> None:
    assert sign_in(client, "boss")
    setup = client.get("/admin/")["Location"]
    again = client.get(setup)["Location"]  # the password once more, before anything is set up
    assert again.startswith("/account/reauthenticate/")
    assert client.post(again, {"password": PASSWORD})["Location"] == setup
    secret = client.get(setup).context["form"].secret
    assert client.post(setup, {"code": "000000"}).status_code == 200
    assert client.get("/admin/").status_code == 302
    assert client.post(setup, {"code": code_now(secret)}).status_code == 302
    assert client.get("/admin/").status_code == 200
    client.post("/account/logout/")
    # From now on a password alone is half the way.
    half = Client()
    assert not sign_in(half, "boss")
    assert half.get("/admin/")["Location"].startswith("/admin/login/")
    codes = RecoveryCodes(
        Authenticator.objects.get(user=boss, type="recovery_codes")
    ).get_unused_codes()
    half.post("/account/2fa/authenticate/", {"code": codes[0]})
    assert half.get("/admin/").status_code == 200


def test_a_session_from_before_the_second_step_does_not_count(
    client, boss, starter, required
) -> None:
    """As of somebody with the stolen password, who was in already."""
    assert sign_in(client, "boss")
    session = client.session
    records = session["account_authentication_methods"]
    records[0]["at"] -= 4000
    session["account_authentication_methods"] = records
    session.save()
    TOTP.activate(boss, "A" * 32)
    assert client.get("/admin/")["Location"].startswith("/account/2fa/reauthenticate/")
    for path in ("/account/2fa/totp/deactivate/", "/account/2fa/", "/account/2fa/recovery-codes/"):
        assert client.get(path)["Location"].startswith("/account/2fa/reauthenticate/")
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert client.get("/admin/").status_code == 302
    client.post("/account/2fa/reauthenticate/", {"code": code_now("A" * 32)})
    assert client.get("/admin/").status_code == 200


def test_guesses_of_a_code_are_limited(client, boss, starter) -> None:
    TOTP.activate(boss, "A" * 32)
    assert not sign_in(client, "boss")
    for _ in range(5):
        client.post("/account/2fa/authenticate/", {"code": "000000"})
    client.post("/account/2fa/authenticate/", {"code": code_now("A" * 32)})
    assert "_auth_user_id" not in client.session
