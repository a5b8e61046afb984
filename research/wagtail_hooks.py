"""The editors' side: a report of unused media, and a way from the site's own rooms."""

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.urls import URLPattern, path, reverse
from wagtail import hooks
from wagtail.admin.menu import AdminOnlyMenuItem, MenuItem
from wagtail.admin.ui.tables import Column, TitleColumn
from wagtail.admin.views.reports import ReportView
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import ReferenceIndex


def unused(model: Any) -> QuerySet[Any]:
    """Items of a media model that nothing refers to."""
    kind = ContentType.objects.get_for_model(model)
    references = ReferenceIndex.objects.filter(
        to_content_type=kind, to_object_id=Cast(OuterRef("pk"), CharField())
    )
    return model.objects.filter(~Exists(references)).order_by("-created_at")


class UnusedMediaReport(ReportView):
    """Images and documents that no page uses, newest first."""

    page_title = "Unused media"
    header_icon = "image"
    index_url_name = "unused_media"
    index_results_url_name = "unused_media_results"
    columns = [  # Wagtail's own form
        TitleColumn("title", label="Title", get_url=lambda item: _edit_url(item)),
        Column("kind", label="Kind", accessor=lambda item: item._meta.verbose_name),
        Column("created_at", label="Added"),
    ]
    list_export = ["title", "created_at"]

    def get_queryset(self) -> list[Any]:  # type: ignore[override]
        return [*unused(get_image_model()), *unused(get_document_model())]

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset


def _edit_url(item: Any) -> str:
    if isinstance(item, get_image_model()):
        return reverse("wagtailimages:edit", args=[item.pk])
    return reverse("wagtaildocs:edit", args=[item.pk])


@hooks.register("register_reports_menu_item")
def unused_media_item() -> MenuItem:
    return AdminOnlyMenuItem("Unused media", reverse("unused_media"), icon_name="image", order=700)


@hooks.register("register_admin_urls")
def unused_media_urls() -> list[URLPattern]:
    return [
        path("reports/unused-media/", UnusedMediaReport.as_view(), name="unused_media"),
        path(
            "reports/unused-media/results/",
            UnusedMediaReport.as_view(results_only=True),
            name="unused_media_results",
        ),
    ]
