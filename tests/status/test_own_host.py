"""The status page under a host of its own: it is all there is at that host."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.foundation.test_project import ROOT

pytestmark = pytest.mark.django_db
OWN = "status.example.org"


@pytest.fixture(autouse=True)
def _own_host(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["hub.example.org", OWN]
    settings.WAGTAILADMIN_BASE_URL = "https://hub.example.org"
    settings.STATUS_HOST = OWN


def at(path: str, host: str = OWN, method: str = "get", **headers: str) -> Any:
    return getattr(Client(), method)(path, headers={"host": host, **headers})


@pytest.mark.parametrize("host", [OWN, f"{OWN}:8443", OWN.upper(), f"{OWN}."])
def test_its_root_is_the_page(host: str) -> None:
    answer = at("/", host)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Not checked yet." in text
    assert 'href="https://hub.example.org"' in text
    assert 'hx-get="/"' in text
    assert 'href="/summary.json"' in text
    assert "default-src" in answer["Content-Security-Policy"]
    part = at("/", host, hx_request="true").content.decode()
    assert "<html" not in part
    assert "Not checked yet." in part
    assert at("/summary.json", host).json()["status"]["indicator"] == "unknown"
    assert at("/", host, "post").status_code == 405


def test_its_links_lead_somewhere(starter: Any) -> None:
    """Of that host, or whole."""
    import re

    for address in re.findall(r'(?:href|src|hx-get)="([^"#]+)"', at("/").content.decode()):
        if not address.startswith("https://hub.example.org"):
            assert at(address).status_code == 200, address


def _addresses() -> list[str]:
    fixed = {
        str(pattern.pattern)
        for pattern in get_resolver().url_patterns
        if str(pattern.pattern) and not set("<^(") & set(str(pattern.pattern))
    }
    more = ["status/", "status/summary.json", ".well-known/change-password", "robots.txt", "x", "v1/variants"]  # fmt: skip
    return sorted({f"/{address}" for address in fixed | set(more)})


def test_nothing_else_is_answered_there(starter: Any) -> None:
    addresses = _addresses()
    assert len(addresses) >= 20
    for address in addresses:
        for method in ("get", "post"):
            assert at(address, OWN, method).status_code == 404, address


def test_a_page_of_the_site_that_was_kept_is_not_sent_there(starter: Any, settings: Any) -> None:
    settings.STATUS_HOST = ""
    assert b"Not checked yet." not in at("/").content  # the front page, kept for that host
    settings.STATUS_HOST = OWN
    assert b"Not checked yet." in at("/").content


def test_a_redirect_of_the_editors_means_nothing_there(starter: Any) -> None:
    from wagtail.contrib.redirects.models import Redirect

    Redirect.objects.create(old_path="/moved", redirect_link="/docs/")
    assert at("/moved").status_code == 404
    assert at("/moved", "hub.example.org").status_code in (301, 302)


def test_the_site_leads_there(starter: Any) -> None:
    answer = at("/status/", "hub.example.org")
    assert (answer.status_code, answer["Location"]) == (302, f"https://{OWN}/")
    # What machines read stays, and a part of a page that is open.
    assert at("/status/summary.json", "hub.example.org").status_code == 200
    assert at("/status/", "hub.example.org", hx_request="true").status_code == 200
    home = at("/", "hub.example.org").content.decode()
    assert f'href="https://{OWN}/"' in home
    assert 'href="/status/"' not in home


def test_without_it_the_page_is_where_it_was(starter: Any, settings: Any) -> None:
    settings.STATUS_HOST = ""
    assert at("/status/", "hub.example.org").status_code == 200
    assert 'href="/status/"' in at("/", "hub.example.org").content.decode()


@pytest.mark.parametrize(
    "host",
    ["other.example.org", f"{OWN}.evil.example", f"evil.{OWN}", "", f"{OWN}@evil", f"{OWN}/"],
)
def test_other_hosts_are_refused(host: str) -> None:
    assert at("/", host).status_code == 400


@pytest.mark.parametrize(("own", "starts"), [(OWN, True), ("hub.example.org", False)])
def test_the_setting_makes_a_known_host_of_it(own: str, starts: bool) -> None:
    env = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "moondream_site.settings.production",
        "SECRET_KEY": "s" * 60, "REFERENCES_KEY": "r" * 60, "SITE_URL": "https://hub.example.org",
        "ALLOWED_HOSTS": "hub.example.org", "STATUS_HOST": own,
    }  # fmt: skip
    code = "from django.conf import settings; print(settings.ALLOWED_HOSTS)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == starts, done.stderr
    assert (own in done.stdout) if starts else ("STATUS_HOST" in done.stderr)
