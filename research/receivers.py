"""What happens elsewhere that pages show."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from wagtail.models import CollectionViewRestriction, PageViewRestriction, Site
from wagtail.signals import page_published, page_unpublished, post_page_move

from inference.models import Variant, VariantMeasurement
from leaderboard import services as leaderboard
from leaderboard.models import Benchmark, Challenge, Phase, ReportedFigure
from leaderboard.signals import entries_changed, standings_changed
from research import page_cache
from research.models import ChallengePage, Navigation, NotebookRun, SiteTexts


def connect() -> None:
    """Empty the page cache when something shown changes."""
    for signal in (page_published, page_unpublished, post_page_move):
        signal.connect(_challenge_page, dispatch_uid="research-challenge-pages")
        signal.connect(page_cache.forget_all, dispatch_uid="research-pages")
    entries_changed.connect(page_cache.forget_all, dispatch_uid="research-entries")
    standings_changed.connect(page_cache.forget_all, dispatch_uid="research-standings")
    post_save.connect(_challenge, sender=Challenge, dispatch_uid="research-challenge-dates")
    for model in (
        Navigation,
        SiteTexts,
        Site,
        Variant,
        VariantMeasurement,
        ReportedFigure,
        NotebookRun,
        Benchmark,
        Challenge,
        Phase,
        PageViewRestriction,
        CollectionViewRestriction,
    ):
        for saved in (post_save, post_delete):
            saved.connect(
                page_cache.forget_all, sender=model, dispatch_uid=f"research-{model.__name__}"
            )


def _challenge_page(sender: Any, instance: Any, **_: Any) -> None:
    """The challenge learns where its rules are; it cannot ask, being of a room below."""
    url = instance.get_url() if isinstance(instance, ChallengePage) else ""
    if url:
        challenge = instance.challenge if instance.live else None
        leaderboard.challenge_announced(url=url, challenge=challenge)


def _challenge(sender: Any, instance: Challenge, **_: Any) -> None:
    """Pages keep a challenge's dates for their lists."""
    kept = {name: getattr(instance, name) for name in ChallengePage.COPIED}
    ChallengePage.objects.filter(challenge=instance).update(**kept)
