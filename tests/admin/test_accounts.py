"""How accounts sign in, in the admin: what is shown, and what is done for who is locked out."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse
from wagtail.models import ModelLogEntry

from tests.admin.test_rooms import bulk, do, listing

pytestmark = pytest.mark.django_db
SECRET = "A" * 32


def person(name: str, **more: Any) -> Any:
    user = get_user_model().objects.create_user(
        name, f"{name}@example.org", "correct horse", **more
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def locked(user: Any) -> Authenticator:
    """With an app and recovery codes."""
    made: Authenticator = TOTP.activate(user, SECRET).instance
    RecoveryCodes.activate(user)
    return made


def test_there_is_one_admin(client: Client) -> None:
    assert not apps.is_installed("django.contrib.admin")
    assert client.get("/django-admin/").status_code == 404
    with pytest.raises(NoReverseMatch):
        reverse("admin:index")


def test_who_is_locked_out_gets_in_by_the_password_alone(member: Callable[[str], Client]) -> None:
    ada = person("ada")
    step = locked(ada)
    admin = member("Admins")
    text = admin.get(listing("pricing_secondstep")).content.decode()
    assert "ada" in text
    assert "TOTP Authenticator" in text
    page = bulk("pricing_secondstep", "remove", step)
    assert "TOTP Authenticator of ada" in admin.get(page).content.decode()
    assert "1 second step removed" in do(admin, page)
    assert not Authenticator.objects.filter(user=ada).exists(), "the codes go with it"
    line = ModelLogEntry.objects.get(action="pricing.remove", user__username="admins")
    assert line.object_id == str(ada.pk)
    assert line.content_type.model == "user"
    reader = Client()
    reader.post("/account/login/", {"login": "ada", "password": "correct horse"})
    assert "_auth_user_id" in reader.session


def test_both_rows_of_an_account_are_one_removal(member: Callable[[str], Client]) -> None:
    ada, admin = person("ada"), member("Admins")
    locked(ada)
    do(admin, bulk("pricing_secondstep", "remove", *Authenticator.objects.filter(user=ada)))
    assert not Authenticator.objects.exists()


def test_no_secret_and_no_code_is_shown(member: Callable[[str], Client]) -> None:
    ada = person("ada")
    step = locked(ada)
    codes = RecoveryCodes(
        Authenticator.objects.get(user=ada, type="recovery_codes")
    ).get_unused_codes()
    admin, space = member("Admins"), "wagtailsnippets_pricing_secondstep"
    addresses = [
        listing("pricing_secondstep"), f"{listing('pricing_secondstep')}?export=csv",
        *(reverse(f"{space}:inspect", args=[row.pk]) for row in Authenticator.objects.all()),
        bulk("pricing_secondstep", "remove", step),
    ]  # fmt: skip
    for address in addresses:
        answer = admin.get(address)
        assert answer.status_code == 200
        text = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        for secret in (SECRET, step.data["secret"], *codes):
            assert secret not in text, address


@pytest.mark.parametrize("rights", ["superuser", "inactive superuser", "editor"])
def test_who_has_rights_is_helped_by_who_may_do_everything_alone(
    member: Callable[[str], Client], admin_client: Client, rights: str
) -> None:
    boss = person("boss", is_superuser="superuser" in rights, is_active="inactive" not in rights)
    if rights == "editor":
        boss.groups.add(Group.objects.get(name="Editors"))
    page = bulk("pricing_secondstep", "remove", locked(boss))
    assert "Only an admin" not in member("Admins").get(page).content.decode()
    assert "has an admin" in do(member("Admins"), page)
    assert Authenticator.objects.filter(user=boss).count() == 2
    assert "1 second step removed" in do(admin_client, page)
    assert not Authenticator.objects.filter(user=boss).exists()


def test_nobody_takes_their_own_away_here(admin_client: Client, starter: Any) -> None:
    own = get_user_model().objects.get(username="admin")
    page = bulk("pricing_secondstep", "remove", locked(own))
    assert "changed in your account" in do(admin_client, page)
    assert Authenticator.objects.filter(user=own).count() == 2


@pytest.mark.parametrize(
    "name", ["pricing_mailaddress", "pricing_secondstep", "pricing_linkedaccount"]
)
def test_editors_see_nothing_of_it(member: Callable[[str], Client], name: str) -> None:
    seen = {
        g: member(g).get(listing(name)).status_code for g in ("Editors", "Moderators", "Admins")
    }
    assert seen == {"Editors": 302, "Moderators": 302, "Admins": 200}
    ada = person("ada")
    address = EmailAddress.objects.get(user=ada)
    for group in ("Editors", "Admins"):
        for action in ("verify", "make_primary", "remove"):
            page = bulk("pricing_mailaddress", action, address)
            assert member(group).post(page).status_code in (302, 403)
    assert EmailAddress.objects.filter(pk=address.pk).exists()


def test_addresses_are_verified_made_primary_and_removed(
    admin_client: Client, starter: Any
) -> None:
    ada, bea = person("ada"), person("bea")
    new = EmailAddress.objects.create(user=ada, email="new@example.org")
    claimed = EmailAddress.objects.create(user=ada, email=bea.email)
    name = "pricing_mailaddress"
    text = admin_client.get(listing(name)).content.decode()
    assert "new@example.org" in text
    assert "1 mail address verified" in do(admin_client, bulk(name, "verify", new))
    assert "Another account has verified" in do(admin_client, bulk(name, "verify", claimed))
    assert "Make another one primary first" not in do(admin_client, bulk(name, "make_primary", new))
    ada.refresh_from_db()
    assert ada.email == "new@example.org"
    assert "Mail to this account goes to" in do(admin_client, bulk(name, "remove", new))
    assert "1 mail address removed" in do(admin_client, bulk(name, "remove", claimed))
    assert set(EmailAddress.objects.filter(user=ada).values_list("email", "verified", "primary")) == {
        ("ada@example.org", True, False), ("new@example.org", True, True),
    }  # fmt: skip
    entries = ModelLogEntry.objects.filter(object_id=str(ada.pk), content_type__model="user")
    assert {e.action for e in entries} == {
        "pricing.verify",
        "pricing.make_primary",
        "pricing.remove",
    }
    history = admin_client.get(
        reverse("wagtailusers_users:history", args=[ada.pk])
    ).content.decode()
    assert "Removed" in history


def test_accounts_elsewhere_are_listed_also_of_providers_without_keys(
    admin_client: Client, starter: Any
) -> None:
    made = SocialAccount.objects.create(
        user=person("ada"), provider="github", uid="4711", extra_data={"token": "tok-of-ada"}
    )
    for address in (
        listing("pricing_linkedaccount"),
        reverse("wagtailsnippets_pricing_linkedaccount:inspect", args=[made.pk]),
    ):
        text = admin_client.get(address).content.decode()
        assert "4711" in text
        assert "tok-of-ada" not in text


def test_from_an_account_to_how_it_signs_in(admin_client: Client, starter: Any) -> None:
    locked(person("ada"))
    text = admin_client.get(reverse("wagtailusers_users:index")).content.decode()
    found = f"{listing('pricing_secondstep')}?q=ada%40example.org"
    assert found in text
    assert "TOTP Authenticator" in admin_client.get(found).content.decode()


def test_what_djangos_own_admin_noted_goes_on_in_the_one_log() -> None:
    """As on a site that had it: its table, which kept accounts from being deleted, is gone after."""
    ada = person("ada")
    kind = ContentType.objects.get_for_model(Group)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE django_admin_log (id serial PRIMARY KEY, action_time timestamptz NOT NULL, "
            "object_id text, object_repr varchar(200) NOT NULL, action_flag smallint NOT NULL, "
            "change_message text NOT NULL, content_type_id integer REFERENCES django_content_type, "
            "user_id integer NOT NULL REFERENCES auth_user)"
        )
        for flag, row in ((1, "1"), (2, "1"), (3, "1"), (2, None)):
            cursor.execute(
                "INSERT INTO django_admin_log VALUES (DEFAULT, now(), %s, 'Board', %s, '', %s, %s)",
                [row, flag, kind.pk, ada.pk],
            )
    migration = importlib.import_module("pricing.migrations.0003_accounts")
    with connection.schema_editor() as editor:
        migration.carry_over(apps, editor)
        migration.carry_over(apps, editor)
    lines = ModelLogEntry.objects.filter(content_type=kind, user=ada).order_by("pk")
    assert [(line.action, line.label, line.deleted) for line in lines] == [
        ("wagtail.create", "Board", False), ("wagtail.edit", "Board", False), ("wagtail.delete", "Board", True),
    ]  # fmt: skip
    ada.delete()
