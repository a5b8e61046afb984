"""What the checks found and what runs by the clock, in the admin; what does not work, on its front."""

from typing import Any, ClassVar

from django import forms
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from wagtail import hooks
from wagtail.admin.ui.tables import Column
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from inference import waiting
from inference.listings import RoomViewSet, RowAction, register_actions
from inference.waiting import Waiting, listed
from status import services
from status.models import CheckResult


class CheckViewSet(RoomViewSet):
    model = CheckResult
    icon = "success"
    menu_label = "Checks"
    list_display = ("label", "component", "state", "latency_ms", "note", "checked_at")
    list_filter: ClassVar[Any] = {
        "state": ["exact"], "component": ["exact"], "checked_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("label", "component", "note")
    list_export = ("component", "label", "state", "latency_ms", "note", "checked_at")


def _schedule(task: PeriodicTask) -> str:
    return str(task.scheduler)


class ScheduleViewSet(RoomViewSet):
    """What beat sends, and when. How often is in the settings, which beat reads when it starts."""

    model = PeriodicTask
    icon = "calendar-alt"
    menu_label = "Schedules"
    ordering = ("name",)
    joined = ("interval", "crontab", "solar", "clocked")
    list_display = (
        "name", "task", Column("schedule", label="When", accessor=_schedule), "enabled", "last_run_at",
        "total_run_count",
    )  # fmt: skip
    list_filter = ("enabled", "one_off")
    search_fields = ("name", "task")
    list_export = ("name", "task", "enabled", "last_run_at", "total_run_count")
    inspect_view_fields = ("name", "task", "description", "interval", "crontab", "args", "kwargs", "queue",
                           "enabled", "last_run_at", "total_run_count", "date_changed")  # fmt: skip


class _OfSchedules(RowAction):
    model_class = PeriodicTask
    permission = "django_celery_beat.change_periodictask"


class RunNow(_OfSchedules):
    display_name = "Run now"
    action_type = "run"
    question = "These are sent to the workers once, at once; when they run next stays as it is:"
    done = "sent to the workers"
    icon_name = "resubmit"

    def act(self, row: PeriodicTask, *, by: Any, form: forms.Form) -> None:
        services.schedule_run(task=row)


class SwitchOn(_OfSchedules):
    display_name = "Switch on"
    action_type = "switch_on"
    question = "These run by the clock again:"
    done = "switched on"
    icon_name = "check"

    @classmethod
    def fits(cls, row: PeriodicTask) -> bool:
        return not row.enabled

    def act(self, row: PeriodicTask, *, by: Any, form: forms.Form) -> None:
        services.schedule_switch(task=row, enabled=True)


class SwitchOff(_OfSchedules):
    display_name = "Switch off"
    action_type = "switch_off"
    question = "These do not run until somebody switches them on; what rests on them stands still:"
    done = "switched off"
    icon_name = "cross"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: PeriodicTask) -> bool:
        return bool(row.enabled)

    def act(self, row: PeriodicTask, *, by: Any, form: forms.Form) -> None:
        services.schedule_switch(task=row, enabled=False)


class StatusGroup(SnippetViewSetGroup):
    menu_label = "Status"
    menu_name = "status"
    menu_icon = "success"
    menu_order = 390
    items = (CheckViewSet, ScheduleViewSet)


register_snippet(StatusGroup)
register_actions(RunNow, SwitchOn, SwitchOff)


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Parts that the last check found down, and schedules that are switched off."""
    latest = CheckResult.objects.order_by("-checked_at").values("checked_at")[:1]
    down = CheckResult.objects.filter(checked_at__in=latest, state=CheckResult.State.DOWN)
    off = PeriodicTask.objects.filter(enabled=False, one_off=False)
    may = user.has_perm
    return [
        Waiting("parts of the site that do not work", down.count, reverse("status:index"),
                may("inference.change_job")),
        Waiting("schedules that are switched off", off.count, listed(PeriodicTask, enabled="false"),
                may("django_celery_beat.change_periodictask")),
    ]  # fmt: skip
