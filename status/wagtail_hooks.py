"""What of the site does not work, on the front of the admin."""

from typing import Any

from django.urls import reverse
from wagtail import hooks

from inference import waiting
from inference.waiting import Waiting
from status.models import CheckResult


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Parts that the last check found down."""
    latest = CheckResult.objects.order_by("-checked_at").values("checked_at")[:1]
    down = CheckResult.objects.filter(checked_at__in=latest, state=CheckResult.State.DOWN)
    may = user.has_perm("inference.change_job")
    return [Waiting("parts of the site that do not work", down.count, reverse("status:index"), may)]
