"""What of the pages is not as it should be, for their editors."""

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import OuterRef, Q, QuerySet, Subquery
from wagtail.models import Page, TaskState, get_page_models

from research.models import BasePage, HomePage, NotebookPage, NotebookRun


def undescribed() -> QuerySet[Page]:
    """Published pages without a word for search engines and shared links: neither typed, nor taken from
    what opens the page. One query."""
    without = Q(content_type=ContentType.objects.get_for_model(HomePage))
    for model in (each for each in get_page_models() if issubclass(each, BasePage)):
        ledes = [f for f in model._meta.local_fields if f.name == "lede" and f.blank]
        if ledes:
            without |= Q(**{f"{_path_to(model)}__lede": ""})
    found: QuerySet[Page] = Page.objects.filter(without, live=True, search_description="")
    return found


def _path_to(model: type[Any]) -> str:
    """How a query of pages gets to a page model: through those it is made of that have tables too."""
    between = [parent for parent in model._meta.get_parent_list() if parent is not Page]
    return "__".join(one._meta.model_name for one in (*reversed(between), model))


def failing_notebooks() -> QuerySet[NotebookPage]:
    """Published notebooks whose last run failed; one query."""
    last = NotebookRun.objects.filter(notebook=OuterRef("pk")).order_by("-finished_at")
    live: Any = NotebookPage.objects.live()
    found: QuerySet[NotebookPage] = live.annotate(last=Subquery(last.values("state")[:1])).filter(
        last=NotebookRun.State.FAILED
    )
    return found


def to_review(user: Any) -> QuerySet[TaskState]:
    """Tasks of workflows that a user may approve or reject; one query."""
    waiting: QuerySet[TaskState] = TaskState.objects.filter(
        status=TaskState.STATUS_IN_PROGRESS, task__active=True
    )
    if user.is_superuser:
        return waiting
    return waiting.filter(task__groupapprovaltask__groups__in=user.groups.all()).distinct()
