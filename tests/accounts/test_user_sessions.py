"""Where an account is signed in, and signing out elsewhere; security keys as a second step."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.test import Client

from tests.accounts.test_signin import PASSWORD, sign_in

pytestmark = pytest.mark.django_db
SESSIONS = "/account/sessions/"


@pytest.fixture
def reader() -> Any:
    return get_user_model().objects.create_user("rea", "rea@example.org", PASSWORD)


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_other_browsers_are_shown_and_signed_out(reader: Any) -> None:
    here, there = Client(), Client()
    assert sign_in(here, "rea", HTTP_USER_AGENT="Here/1.0")
    assert sign_in(there, "rea", address="203.0.113.9", HTTP_USER_AGENT="There/<b>2.0")
    text = here.get(SESSIONS).content.decode()
    assert "Here/1.0" in text
    assert "There/&lt;b&gt;2.0" in text
    assert "203.0.113.9" in text
    assert text.count("This one") == 1
    assert here.post(SESSIONS).status_code == 302
    assert is_in(here)
    assert not is_in(there)
    assert "Nowhere else." in here.get(SESSIONS).content.decode()


def test_nobody_sees_or_ends_anothers(reader: Any) -> None:
    other = get_user_model().objects.create_user("eve", "eve@example.org", PASSWORD)
    mine, hers = Client(), Client()
    assert sign_in(mine, "rea", HTTP_USER_AGENT="Mine/1.0")
    assert sign_in(hers, other.username)
    assert "Mine/1.0" not in hers.get(SESSIONS).content.decode()
    hers.post(SESSIONS)
    assert is_in(mine)
    assert Client().get(SESSIONS).status_code == 302


def test_a_security_key_is_a_second_step_of_staff(settings: Any) -> None:
    settings.REQUIRE_STAFF_MFA = True
    boss = get_user_model().objects.create_superuser("boss", "boss@example.org", PASSWORD)
    client = Client()
    assert sign_in(client, "boss")
    assert client.get("/admin/").status_code == 302
    assert client.get("/account/2fa/webauthn/add/").status_code in (200, 302)
    Authenticator.objects.create(
        user=boss, type=Authenticator.Type.WEBAUTHN, data={"name": "key", "credential": {}}
    )
    # It stands from the next time on that it is used, not for a session that had none.
    assert client.get("/admin/").status_code == 302
    assert "reauthenticate" in client.get("/admin/")["Location"]
