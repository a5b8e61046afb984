"""Signing in by accounts elsewhere: there with their keys alone, and let through by the site's policy."""

import json
from typing import Any

import pytest

from tests.live import LiveStack

pytestmark = pytest.mark.live
_ASK = """
import json
from typing import Any
from django.conf import settings
from django.test import Client
from django.urls import resolve
found = {}
for name in ("github", "google", "orcid"):
    client = Client(HTTP_HOST="localhost")
    page = client.get("/account/login/")
    path = f"/account/{name}/login/"
    if path not in page.content.decode():
        # Nor is there an address of its own: the site's pages take what is left.
        assert client.post(path).status_code == 404 or "allauth" not in resolve(path).func.__module__
        found[name] = None
        continue
    sent = client.post(path)
    found[name] = [sent.status_code, sent["Location"], page["Content-Security-Policy"]]
print(json.dumps(found))
"""
HOSTS = {
    "github": "https://github.com", "google": "https://accounts.google.com", "orcid": "https://orcid.org",
}  # fmt: skip


def ask(live_stack: LiveStack, **env: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        live_stack.manage("shell", "-v0", "-c", _ASK, **env).strip().splitlines()[-1]
    )
    return told


def test_without_keys_there_are_none(live_stack: LiveStack) -> None:
    assert ask(live_stack) == {"github": None, "google": None, "orcid": None}


@pytest.mark.parametrize("names", [("google",), ("github", "google", "orcid")])
def test_with_its_keys_a_provider_is_on_the_page_and_the_policy_lets_its_form_go(
    live_stack: LiveStack, names: tuple[str, ...]
) -> None:
    env: dict[str, str] = {}
    for name in names:
        env |= {f"{name.upper()}_CLIENT_ID": f"id-of-{name}", f"{name.upper()}_SECRET": "s"}
    found = ask(live_stack, **env)
    for name, host in HOSTS.items():
        told = found[name]
        if name not in names:
            assert told is None
            continue
        assert told is not None
        status, location, policy = told
        assert status == 302
        assert location.startswith(f"{host}/")
        assert f"client_id=id-of-{name}" in location
        forms = next(part for part in policy.split(";") if "form-action" in part)
        assert host in forms.split()
        assert (HOSTS["orcid"] in forms) is ("orcid" in names)
