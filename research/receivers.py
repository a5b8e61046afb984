"""What happens elsewhere that pages show."""

from django.db.models.signals import post_delete, post_save
from wagtail.models import Site
from wagtail.signals import page_published, page_unpublished, post_page_move

from inference.models import Variant, VariantMeasurement
from leaderboard.models import Benchmark, ReportedFigure
from leaderboard.signals import entries_changed
from research import page_cache
from research.models import Navigation, NotebookRun


def connect() -> None:
    """Empty the page cache when something shown changes."""
    for signal in (page_published, page_unpublished, post_page_move):
        signal.connect(page_cache.forget_all, dispatch_uid="research-pages")
    entries_changed.connect(page_cache.forget_all, dispatch_uid="research-entries")
    for model in (
        Navigation,
        Site,
        Variant,
        VariantMeasurement,
        ReportedFigure,
        NotebookRun,
        Benchmark,
    ):
        for saved in (post_save, post_delete):
            saved.connect(
                page_cache.forget_all, sender=model, dispatch_uid=f"research-{model.__name__}"
            )
