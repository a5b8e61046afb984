"""How often a page asks the database for a reader with a session, who never gets a kept one."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from wagtail.models import PageViewRestriction

from inference import page_cache
from research.models import PaperPage

pytestmark = pytest.mark.django_db
PAGES = (
    "/", "/research/", "/research/papers/", "/research/papers/?tag=quantisation", "/research/notebooks/",
    "/research/datasets/", "/research/challenges/", "/research/releases/", "/research/roadmap/",
    "/research/papers/qlora/", "/research/notebooks/reproduce-a-figure/", "/docs/", "/docs/api/",
    "/docs/guides/errors/", "/pricing/", "/infrastructure/", "/leaderboards/", "/leaderboards/world-vqa/",
    "/leaderboards/world-vqa/log/", "/leaderboards/world-vqa/public/",
    "/leaderboards/world-vqa/submit/", "/status/", "/playground/", "/account/", "/account/keys/",
    "/search/?q=lora",
)  # fmt: skip


@pytest.fixture
def reader(client: Client, starter: Any, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("ada", "ada@example.org", "pw"))
    return client


@pytest.mark.parametrize("path", PAGES)
def test_a_signed_in_reader_s_page_asks_fewer_than_ten_times(reader: Client, path: str) -> None:
    reader.get(path)
    with CaptureQueriesContext(connection) as asked:
        assert reader.get(path).status_code == 200
    # A search reads each kind of page that it found.
    most = 11 if path.startswith("/search/") else 9
    assert len(asked) <= most, [query["sql"][:120] for query in asked]


def test_what_is_remembered_for_one_reader_is_not_told_to_another(
    reader: Client, django_user_model: Any
) -> None:
    page, shelf = PaperPage.objects.get(slug="qlora"), "/research/papers/"
    rule = PageViewRestriction.objects.create(page=page, restriction_type="groups")
    rule.groups.add(group := Group.objects.create(name="Reviewers"))
    member = Client()
    other = django_user_model.objects.create_user("eve", "eve@example.org", "pw")
    other.groups.add(group)
    member.force_login(other)
    for _ in range(2):
        assert page.title in member.get(shelf).content.decode()
        assert page.title not in reader.get(shelf).content.decode()
        assert reader.get(page.url).status_code in (302, 403)
        assert member.get(page.url).status_code == 200
    other.groups.remove(group)
    assert page.title not in member.get(shelf).content.decode()


def test_a_change_is_seen_at_once_by_readers_with_a_session(reader: Client) -> None:
    page = PaperPage.objects.get(slug="qlora")
    reader.get(page.url)
    page.title = "Xylophone"
    page.save_revision().publish()
    for path in (page.url, "/research/papers/", "/research/releases/"):
        reader.get(path)
    assert "Xylophone" in reader.get(page.url).content.decode()
    assert "Xylophone" in reader.get("/research/papers/").content.decode()
    page.authors.first().delete()
    page.unpublish()
    assert reader.get(page.url).status_code == 404
    assert "Xylophone" not in reader.get("/research/papers/").content.decode()


def test_addresses_that_name_nothing_are_not_remembered(reader: Client) -> None:
    for path in ("/research/papers/qlora/", "/research/papers/"):
        reader.get(path)
    before = set(page_cache._remembered)
    for path in ("/nothing/", "/research/nothing/", "/research/papers/qlora/cite/x/",
                 "/research/papers/?tag=nothing", "/research/papers/?page=99", "/research/papers/?x=1",
                 "/" + "a/" * 200):  # fmt: skip
        reader.get(path)
    assert set(page_cache._remembered) == before


def test_permissions_are_django_s(django_user_model: Any, db: None) -> None:
    """Read in one query, they are the same."""
    user = django_user_model.objects.create_user("ada", "ada@example.org", "pw")
    own, shared, _ = Permission.objects.all()[:3]
    user.user_permissions.add(own)
    user.groups.add(group := Group.objects.create(name="Measurers"))
    group.permissions.add(own, shared)
    names = {f"{p.content_type.app_label}.{p.codename}" for p in (own, shared)}
    again = django_user_model.objects.get(pk=user.pk)
    with CaptureQueriesContext(connection) as asked:
        assert all(again.has_perm(name) for name in names)
        assert not again.has_perm("wagtailadmin.access_admin")
    assert len(asked) == 1
    assert again.get_all_permissions() == names
    gone = django_user_model.objects.get(pk=user.pk)
    gone.is_active = False
    assert gone.get_all_permissions() == set()
    assert not any(gone.has_perm(name) for name in names)
