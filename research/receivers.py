"""What happens elsewhere that pages show."""

from typing import Any

from django.apps import apps
from django.db.models.signals import post_save
from taggit.models import Tag
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import (
    Collection,
    CollectionViewRestriction,
    Locale,
    Page,
    PageViewRestriction,
    Revision,
    Site,
)
from wagtail.signals import page_published, page_unpublished, post_page_move

from inference import page_cache
from inference.messages import send_on_commit
from leaderboard import services as leaderboard
from leaderboard.models import Challenge
from research.models import (
    Announcement,
    BrokenLink,
    ChallengePage,
    Navigation,
    StarterLoad,
    StarterText,
)


def connect() -> None:
    """Tell challenges of their pages and these of their challenges; name what kept pages show."""
    for signal in (page_published, page_unpublished, post_page_move):
        signal.connect(_challenge_page, dispatch_uid="research-challenge-pages")
    page_published.connect(_pictures, dispatch_uid="research-pictures")
    post_save.connect(_challenge, sender=Challenge, dispatch_uid="research-challenge-dates")
    # Noting a draft changes no page.
    drafts = ("latest_revision", "latest_revision_created_at", "has_unpublished_changes", "draft_title",
              "locked", "locked_at", "locked_by", "owner")  # fmt: skip
    page_cache.watch(Page, unshown=drafts)
    page_cache.watch(Navigation, Announcement, unshown=drafts)
    unshown = (StarterLoad, StarterText, BrokenLink)
    page_cache.watch(*(m for m in apps.get_app_config("research").get_models() if m not in unshown))
    page_cache.watch(
        Site, Locale, Collection, PageViewRestriction, CollectionViewRestriction, Tag,
        get_image_model(), get_document_model(),
    )  # fmt: skip
    # The page that first wants a picture in a size makes it; what was there is shown as it was.
    page_cache.watch(get_image_model().get_rendition_model(), inserts=False)
    page_cache.changes_at(Page, "expire_at")
    page_cache.changes_at(Announcement, "expire_at")
    # When something is to be published, not what drafts say.
    saved = (field.name for field in Revision._meta.fields if field.name != "approved_go_live_at")
    page_cache.watch(Revision, unshown=saved, inserts=False)
    page_cache.changes_at(Revision, "approved_go_live_at")


def _pictures(sender: Any, instance: Any, **_: Any) -> None:
    """A worker makes its pictures; without one the first reader does."""
    from research.tasks import make_pictures

    send_on_commit(make_pictures, instance.pk, lost=lambda _: None)


def _challenge_page(sender: Any, instance: Any, **_: Any) -> None:
    """The challenge learns where its rules are; it cannot ask, being of a room below."""
    url = instance.get_url() if isinstance(instance, ChallengePage) else ""
    if url:
        challenge = instance.challenge if instance.live else None
        leaderboard.challenge_announced(url=url, challenge=challenge)


def _challenge(sender: Any, instance: Challenge, **_: Any) -> None:
    """Pages keep a challenge's dates for their lists; not those of a draft."""
    if not instance.live:
        return
    kept = {name: getattr(instance, name) for name in ChallengePage.COPIED}
    ChallengePage.objects.filter(challenge=instance).update(**kept)
