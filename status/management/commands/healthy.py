"""`manage.py healthy worker|beat`: whether that process of this machine does its work; a container's
health check."""

import socket
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from inference import selectors as inference

_LATE = timedelta(seconds=90)
"""The scheduler sends something every 15 s."""


class Command(BaseCommand):
    help = "End with an error unless this machine's worker, or the scheduler, does its work."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("process", choices=["worker", "beat"])

    def handle(self, *args: Any, **options: Any) -> None:
        found = {"worker": _worker, "beat": _beat}[options["process"]]()
        if not found:
            raise CommandError(f"No recent sign of life of the {options['process']}.")
        self.stdout.write(found)


def _worker() -> str:
    """The worker that was heard of; its sign of life lasts half a minute."""
    here = f"@{socket.gethostname()}"
    return next((w.name for w in inference.workers_seen() if w.name.endswith(here)), "")


def _beat() -> str:
    """What was sent last."""
    latest = PeriodicTask.objects.exclude(last_run_at=None).order_by("-last_run_at").first()
    if latest is None or timezone.now() - latest.last_run_at > _LATE:
        return ""
    return str(latest.name)
