"""What editors can do: groups, workflow, previews, schedules, required descriptions, reports."""

import io
from datetime import timedelta

import pytest
from celery import current_app
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Picture
from wagtail.images import get_image_model
from wagtail.models import Page, Workflow

from research import tasks
from research.models import DocsArticlePage, HomePage, Navigation, PaperPage, StandardPage
from research.wagtail_hooks import unused

pytestmark = pytest.mark.django_db


def member(group: str) -> Client:
    user = get_user_model().objects.create_user(group.lower(), f"{group}@example.org", "pw")
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def test_an_editor_sees_the_pages_and_the_navigation(starter) -> None:
    editor = member("Editors")
    page = DocsArticlePage.objects.get(slug="quickstart")
    assert editor.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).status_code == 200
    navigation = Navigation.objects.first()
    address = reverse("wagtailsnippets_research_navigation:edit", args=[navigation.pk])
    assert editor.get(address).status_code == 200


@pytest.mark.parametrize("model", [HomePage, PaperPage, StandardPage, DocsArticlePage])
def test_every_kind_of_page_opens_in_the_editor_with_a_preview(
    admin_client, starter, model
) -> None:
    page = model.objects.first()
    assert admin_client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).status_code == 200
    assert page.make_preview_request().status_code == 200


def test_editors_submit_and_moderators_publish(starter) -> None:
    page = PaperPage.objects.get(slug="qlora")
    workflow = page.get_workflow()
    assert isinstance(workflow, Workflow)
    editor = member("Editors")
    user = get_user_model().objects.get(username="editors")
    assert not page.permissions_for_user(user).can_publish()
    assert page.permissions_for_user(user).can_edit()
    page.title = "Changed by an editor"
    page.save_revision(user=user)
    state = workflow.start(page, user)
    assert "Changed by an editor" not in editor.get("/feeds/papers.json").content.decode()
    member("Moderators")
    moderator = get_user_model().objects.get(username="moderators")
    state.current_task_state.approve(user=moderator)
    page.refresh_from_db()
    assert page.title == "Changed by an editor"
    assert page.live


def test_a_scheduled_page_appears_when_its_time_has_come(client, starter) -> None:
    page = StandardPage.objects.get(slug="product")
    page.headline = "A headline of tomorrow"
    page.go_live_at = timezone.now() + timedelta(hours=1)
    page.save_revision(approved_go_live_at=page.go_live_at).publish()
    assert "A headline of tomorrow" not in client.get("/product/").content.decode()
    revision = page.get_latest_revision()
    revision.approved_go_live_at = timezone.now() - timedelta(minutes=1)
    revision.content["go_live_at"] = revision.approved_go_live_at.isoformat()
    revision.save()
    tasks.publish_scheduled()
    assert "A headline of tomorrow" in client.get("/product/").content.decode()


def test_beat_publishes_within_seconds(settings) -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["research-publish"]
    assert entry["schedule"] <= 10
    assert current_app.tasks[entry["task"]].name == tasks.publish_scheduled.name


def test_a_moved_page_is_redirected(client, starter, django_capture_on_commit_callbacks) -> None:
    page = DocsArticlePage.objects.get(slug="streaming")
    page.slug = "stream"
    with django_capture_on_commit_callbacks(execute=True):
        page.save_revision().publish()
    assert client.get("/docs/guides/stream/").status_code == 200
    assert client.get("/docs/guides/streaming/", follow=True).redirect_chain[0][1] == 301


def test_revisions_can_be_compared(admin_client, starter) -> None:
    page = PaperPage.objects.get(slug="siglip")
    first = page.save_revision()
    page.abstract = "Another summary."
    second = page.save_revision()
    address = reverse("wagtailadmin_pages:revisions_compare", args=[page.pk, first.pk, second.pk])
    assert "Another summary." in admin_client.get(address).content.decode()


def test_an_image_needs_a_description(admin_client, starter) -> None:
    file = io.BytesIO()
    Picture.new("RGB", (40, 30), "red").save(file, "PNG")
    file.name = "x.png"
    file.seek(0)
    sent = {"title": "A red field", "file": file, "description": "", "collection": "1"}
    answer = admin_client.post(reverse("wagtailimages:add"), sent)
    assert not get_image_model().objects.filter(title="A red field").exists()
    assert answer.status_code == 200
    file.seek(0)
    sent |= {"file": file, "description": "A red field.", "focal_point_x": "10", "focal_point_y": "10",
             "focal_point_width": "5", "focal_point_height": "5"}  # fmt: skip
    admin_client.post(reverse("wagtailimages:add"), sent)
    image = get_image_model().objects.get(title="A red field")
    assert image.description == "A red field."


def test_unused_media_are_reported(admin_client, starter) -> None:
    file = io.BytesIO()
    Picture.new("RGB", (40, 30), "red").save(file, "PNG")
    from django.core.files.base import ContentFile

    model = get_image_model()
    lonely = model.objects.create(
        title="Lonely", description="x", file=ContentFile(file.getvalue(), "l.png")
    )
    assert lonely in unused(model)
    assert not unused(model).filter(title="Sample scene: night").exists()
    text = admin_client.get(reverse("unused_media")).content.decode()
    assert "Lonely" in text
    assert "Sample scene: night" not in text


def test_what_an_editor_types_is_checked(admin_client, starter) -> None:
    page = PaperPage.objects.get(slug="siglip")
    page.doi = "https://doi.org/10.1/x"
    with pytest.raises(Exception, match="bare DOI"):
        page.full_clean()
    navigation = Navigation.objects.first()
    link = navigation.links.first()
    link.url = "javascript:alert(1)"
    with pytest.raises(Exception, match="Begin with /"):
        link.full_clean()
    assert Page.objects.get(pk=page.pk).live
