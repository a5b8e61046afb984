"""Where no mail is sent, no page says that one was or will be."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client

RESET = "/account/password/reset/"


@pytest.fixture
def ada(starter: Any) -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.org", "correct horse")


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_forgotten_password_without_mail(ada: Any, settings: Any, method: str) -> None:
    settings.SENDS_MAIL = False
    answer = getattr(Client(), method)(RESET, {"email": "ada@example.org"})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "sends no mail" in text
    assert 'name="email"' not in text
    assert not mail.outbox


def test_a_forgotten_password_with_mail(ada: Any) -> None:
    assert 'name="email"' in Client().get(RESET).content.decode()
    assert Client().post(RESET, {"email": "ada@example.org"}).status_code == 302
    assert [letter.to for letter in mail.outbox] == [["ada@example.org"]]


@pytest.mark.parametrize("sends", [True, False])
def test_an_address_is_said_to_be_mailed_only_if_it_is(
    ada: Any, settings: Any, sends: bool
) -> None:
    settings.SENDS_MAIL = sends
    client = Client()
    client.force_login(ada)
    client.post("/account/email/", {"action_add": "", "email": "new@example.org"})
    text = client.get("/account/email/").content.decode()
    assert "new@example.org" in text
    assert ("sends no mail" in text) is not sends
    assert ("onfirmation email sent" in text) is sends


def test_without_a_server_letters_go_nowhere_and_break_nothing() -> None:
    """The default of production, whose own default is a server on this machine."""
    import os
    import subprocess
    import sys

    from tests.foundation.test_project import ROOT

    code = "from django.conf import settings; print(settings.SENDS_MAIL, settings.EMAIL_BACKEND)"
    env = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "moondream_site.settings.production",
        "SECRET_KEY": "s" * 60, "REFERENCES_KEY": "r" * 60,
    }  # fmt: skip
    for url, told in (("", "False django.core.mail.backends.dummy"), ("smtp://mail:25", "True pricing.mail_backend.Backend")):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env | {"EMAIL_URL": url},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.startswith(told)
