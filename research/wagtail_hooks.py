"""The editors' side: reports of media and pages, and what waits on the admin's front."""

from functools import partial
from typing import Any, ClassVar

from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from taggit.models import Tag
from wagtail import hooks
from wagtail.admin.menu import AdminOnlyMenuItem, MenuItem
from wagtail.admin.panels import FieldPanel
from wagtail.admin.ui.tables import Column, LiveStatusTagColumn, TitleColumn
from wagtail.admin.views.reports import PageReportView, ReportView
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import Page, ReferenceIndex
from wagtail.permissions import policy_registry
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSet, SnippetViewSetGroup

from inference import waiting
from inference.listings import RoomViewSet
from inference.waiting import Waiting, WaitingPanel, listed
from research import views_import
from research.models import Announcement, BrokenLink, Navigation
from research.selectors import unfinished


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


class BrokenLinkViewSet(RoomViewSet):
    """Links of pages that lead nowhere, as the last check found them."""

    model = BrokenLink
    icon = "link"
    menu_label = "Broken links"
    menu_hook = "register_reports_menu_item"
    menu_order = 710
    joined = ("page",)
    list_display = (
        TitleColumn("page", label="Page", get_url=lambda link: _page_edit(link.page)),
        "text", "address", "found_at",
    )  # fmt: skip
    search_fields = ("page__title", "text", "address")
    list_export = ("page.title", "text", "address", "found_at")


register_snippet(BrokenLinkViewSet)


class TagViewSet(RoomViewSet):
    """Tags of pages, pictures and documents; new ones are made where they are given."""

    model = Tag
    icon = "tag"
    menu_label = "Tags"
    menu_hook = "register_settings_menu_item"
    menu_order = 720
    allowed = ("change", "delete", "view")
    ordering = ("name",)
    list_display = ("name", "slug")
    search_fields = ("name", "slug")
    list_export = ("name", "slug")
    panels = (FieldPanel("name"),)


register_snippet(TagViewSet)


class PagesReport(PageReportView):
    """Pages that are not as they should be, for whoever may change some."""

    any_permission_required: ClassVar[list[str]] = ["add", "change", "publish"]
    found: ClassVar[Any]
    """Their query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.permission_policy = policy_registry.get_by_type(Page)

    def get_queryset(self) -> QuerySet[Any]:
        self.queryset = type(self).found()
        queryset: QuerySet[Any] = super().get_queryset()
        return queryset


class UndescribedPages(PagesReport):
    page_title = "Pages without a description"
    header_icon = "doc-empty"
    index_url_name = "undescribed_pages"
    index_results_url_name = "undescribed_pages_results"
    found = staticmethod(unfinished.undescribed)


class FailingNotebooks(PagesReport):
    page_title = "Notebooks whose last run failed"
    header_icon = "warning"
    index_url_name = "failing_notebooks"
    index_results_url_name = "failing_notebooks_results"
    found = staticmethod(unfinished.failing_notebooks)


REPORTS = (("undescribed", UndescribedPages), ("failing-notebooks", FailingNotebooks))


class PagesReportItem(MenuItem):
    """Shown to whoever may change pages."""

    def is_shown(self, request: HttpRequest) -> bool:
        policy = policy_registry.get_by_type(Page)
        return bool(
            policy.user_has_any_permission(request.user, PagesReport.any_permission_required)
        )


def _menu_item(report: type[PagesReport]) -> MenuItem:
    address = reverse(report.index_url_name)
    return PagesReportItem(report.page_title, address, icon_name=report.header_icon, order=720)


for _, report in REPORTS:
    hooks.register("register_reports_menu_item", partial(_menu_item, report))


@hooks.register("register_admin_urls")
def pages_report_urls() -> list[URLPattern]:
    return [
        path(
            f"reports/{place}/{end}", report.as_view(results_only=bool(end)),
            name=report.index_results_url_name if end else report.index_url_name,
        )
        for place, report in REPORTS
        for end in ("", "results/")
    ]  # fmt: skip


def _page_edit(page: Page) -> str:
    return reverse("wagtailadmin_pages:edit", args=[page.pk])


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """What is to be reviewed, and what of the pages is not as it should be."""
    pages = policy_registry.get_by_type(Page)
    may = pages.user_has_any_permission(user, ["change", "publish"])
    notebooks, undescribed = unfinished.failing_notebooks(), unfinished.undescribed()
    return [
        Waiting("to review", unfinished.to_review(user).count,
                f"{reverse('wagtailadmin_reports:workflow_tasks')}?status=in_progress&reviewable=true", may),
        Waiting("links that lead nowhere", BrokenLink.objects.count, listed(BrokenLink), may),
        Waiting("pages without a description", undescribed.count, reverse("undescribed_pages"), may),
        Waiting("notebooks whose last run failed", notebooks.count, reverse("failing_notebooks"), may),
    ]  # fmt: skip


@hooks.register("construct_homepage_panels")
def waiting_panel(request: HttpRequest, panels: list[Any]) -> None:
    panels.append(WaitingPanel())


@hooks.register("before_serve_page", order=-1)
def in_time(page: Page, request: HttpRequest, args: Any, kwargs: Any) -> None:
    """A page whose time is over is not there, whether or not the task that unpublishes it has come."""
    if page.expire_at is not None and page.expire_at <= timezone.now():
        raise Http404


class ImportItem(MenuItem):
    """Shown to whoever may add papers."""

    def is_shown(self, request: HttpRequest) -> bool:
        return views_import.may_import(request.user)


@hooks.register("register_admin_menu_item")
def import_item() -> MenuItem:
    return ImportItem("Import papers", reverse("import_papers"), icon_name="download", order=360)


@hooks.register("register_admin_urls")
def import_urls() -> list[URLPattern]:
    return [path("import-papers/", views_import.import_papers, name="import_papers")]


class ModeratedViewSet(SnippetViewSet):
    """What is written as a draft; nothing chooses it, and each is its own."""

    add_to_reference_index = False
    copy_view_enabled = False

    def register_chooser_viewset(self) -> None:
        """None: no field refers to one."""


class NavigationViewSet(ModeratedViewSet):
    model = Navigation
    icon = "bars"


class AnnouncementViewSet(ModeratedViewSet):
    model = Announcement
    icon = "comment"
    list_display = ("text", "site", LiveStatusTagColumn(), "go_live_at", "expire_at")
    search_fields = ("text",)


class SiteGroup(SnippetViewSetGroup):
    """What stands around every page."""

    menu_label = "Around pages"
    menu_name = "around-pages"
    menu_icon = "site"
    menu_order = 340
    items = (AnnouncementViewSet, NavigationViewSet)


register_snippet(SiteGroup)
