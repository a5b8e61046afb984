"""Who may do what in the admin: three groups, as the guides in `docs` say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from wagtail.images import get_image_model
from wagtail.models import Page, Site
from wagtail.permissions import policy_registry

from research.models import HomePage, Navigation, PaperPage
from research.starter.groups import ADMINS, EDITORS, groups_make

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).parents[2] / "docs"


def test_what_each_group_may_do_with_pages(starter, member: Callable[[str], Client]) -> None:
    page = PaperPage.objects.live().first()
    may = {}
    for group in ("Editors", "Moderators", "Admins"):
        member(group)
        user = get_user_model().objects.get(username=group.lower())
        tester = page.permissions_for_user(user)
        may[group] = (tester.can_edit(), tester.can_publish(), tester.can_unlock())
    assert may == {
        "Editors": (True, False, False), "Moderators": (True, True, True), "Admins": (True, True, True),
    }  # fmt: skip


def test_every_permission_of_the_tables_exists_and_is_given(starter) -> None:
    for name, table in (("Editors", EDITORS), ("Moderators", EDITORS), ("Admins", ADMINS)):
        given = {
            (p.content_type.app_label, p.codename)
            for p in Group.objects.get(name=name).permissions.select_related("content_type")
        }
        for model, actions in table.items():
            app, _, kind = model.partition(".")
            assert {(app, f"{action}_{kind}") for action in actions} <= given, (name, model)


def test_editors_hold_nothing_of_what_people_send(starter) -> None:
    for name in ("Editors", "Moderators"):
        codes = set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        for kind in (
            "apikey",
            "submission",
            "team",
            "participation",
            "job",
            "user",
            "group",
            "standing",
        ):
            assert (
                not {f"{action}_{kind}" for action in ("add", "change", "delete", "view")} & codes
            )
    admins = set(Group.objects.get(name="Admins").permissions.values_list("codename", flat=True))
    assert not {code for code in admins if code.endswith(("_user", "_group"))}


def test_making_them_again_takes_nothing_away(starter) -> None:
    editors = Group.objects.get(name="Editors")
    from django.contrib.auth.models import Permission

    extra = Permission.objects.get(codename="view_apikey")
    editors.permissions.add(extra)
    before = Group.objects.get(name="Admins").permissions.count()
    groups_make()
    assert extra in editors.permissions.all()
    assert Group.objects.get(name="Admins").permissions.count() == before


def test_admins_have_files_settings_and_reports(starter, member: Callable[[str], Client]) -> None:
    admin = member("Admins")
    user = get_user_model().objects.get(username="admins")
    assert policy_registry.get_by_type(get_image_model()).user_has_permission(user, "add")
    site = Site.objects.get(is_default_site=True)
    for address in (
        "/admin/", reverse("wagtailsnippets_research_navigation:list"),
        reverse("wagtailsnippets_research_announcement:add"),
        reverse("wagtailsettings:edit", args=["research", "sitetexts", site.pk]),
        reverse("wagtailredirects:index"), reverse("wagtailadmin_workflows:index"),
        reverse("wagtailsites:index"), reverse("wagtailimages:index"), reverse("wagtaildocs:index"),
        reverse("wagtailadmin_pages:edit", args=[HomePage.objects.first().pk]),
    ):  # fmt: skip
        assert admin.get(address).status_code == 200, address
    assert admin.get(reverse("wagtailusers_users:index")).status_code == 302
    assert Navigation.objects.exists()


def test_the_guides_are_read_on_the_site(starter, client: Client) -> None:
    for name, title in (("editors", "For editors"), ("admins", "For admins")):
        page = client.get(f"/docs/editing/{name}/")
        assert page.status_code == 200
        text = page.content.decode()
        assert title in text
        for line in (DOCS / f"{name}.md").read_text().splitlines():
            if line.startswith("## "):
                assert f">{line[3:]}</h2>" in text
    assert Page.objects.filter(slug="editing").exists()


MENU = {
    "Import papers", "Leaderboards", "Model", "Accounts", "API keys", "Mail addresses", "Second steps",
    "Schedules", "Checks", "Mails", "Tags", "Broken links", "Pages without a description",
}  # fmt: skip


def test_what_the_guides_name_is_in_the_menu(starter, admin_client: Client) -> None:
    guides = "".join((DOCS / f"{name}.md").read_text() for name in ("editors", "admins"))
    home = admin_client.get("/admin/").content.decode()
    for name in MENU:
        assert name in guides
        assert f'"{name}"' in home or f">{name}<" in home, name
    for action in ("Withdraw", "Hide", "Revoke", "Make the default", "Freeze standings",
                   "Publish final ranking", "Make references public", "Reinstate", "Remove second step", "Mark as verified",
                   "Run now", "Switch off"):  # fmt: skip
        assert action in guides
