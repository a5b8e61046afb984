"""How somebody becomes an admin, and what the demo's commands know."""

import io
import json
import os
import re
import stat
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client

from moondream_site import running


def made(email: str) -> str:
    """The link's path."""
    out = io.StringIO()
    call_command("make_admin", email, stdout=out)
    found = re.search(r"https?://[^/\s]+(/\S+)", out.getvalue())
    assert found is not None
    return found.group(1)


@pytest.mark.django_db
def test_a_new_admin_sets_a_password_and_is_in(starter) -> None:
    path, client = made("Keeper@Example.org"), Client()
    page = client.get(path, follow=True)
    form = page.redirect_chain[-1][0]
    words = {"password1": "a long pass phrase", "password2": "a long pass phrase"}
    assert client.post(form, words).status_code == 302
    client.logout()
    signed = {"login": "keeper@example.org", "password": "a long pass phrase"}
    assert client.post("/account/login/", signed).status_code == 302
    home = client.get("/admin/")
    assert home.status_code == 200
    # No other server learns who edits here.
    fetched = re.findall(r'(?:src|srcset)="(\S+)|<link[^>]+href="(\S+)"', home.content.decode())
    assert fetched
    assert not [pair for pair in fetched if "//" in "".join(pair)]
    assert client.get(path, follow=True).context.get("token_fail"), "the link works once"


@pytest.mark.django_db
def test_an_account_that_is_there_becomes_an_admin_and_stays_itself() -> None:
    users = get_user_model()
    ada = users.objects.create_user("ada", "Ada@example.org", "correct horse", is_active=False)
    made("ada@example.org")
    ada.refresh_from_db()
    assert (ada.is_superuser, ada.is_staff, ada.is_active) == (True, True, True)
    assert ada.check_password("correct horse")
    assert users.objects.count() == 1
    with pytest.raises(CommandError, match="valid email"):
        call_command("make_admin", "no address")


def test_only_a_running_demo_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    assert running.environment_of(tmp_path) is None
    running.note(tmp_path, {"DATABASE_URL": "x", "SECRET_KEY": "not to be written"})
    file = tmp_path / "run" / "demo.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "pid": os.getpid(),
        "environment": {"DATABASE_URL": "x"},
    }
    assert running.environment_of(tmp_path) is None, "this process is no demo"
    monkeypatch.setattr(running, "command_of", lambda _: "python -m moondream_site.demo")
    assert running.environment_of(tmp_path) == {"DATABASE_URL": "x"}
    file.write_text("{")
    assert running.environment_of(tmp_path) is None
    running.gone(tmp_path)
    running.gone(tmp_path)
    assert not file.exists()
