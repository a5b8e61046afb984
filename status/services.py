"""Writes: running the checks and keeping what they found."""

from datetime import timedelta

from django.utils import timezone

from status import checks
from status.models import CheckResult

KEPT = timedelta(days=90)


def checks_run() -> list[CheckResult]:
    """Run every check, save the results, forget what is older than 90 days."""
    now = timezone.now()
    results = [
        CheckResult(
            component=o.component, label=o.label, state=o.state, latency_ms=o.latency_ms,
            note=o.note, checked_at=now,
        )
        for o in checks.run_all()
    ]  # fmt: skip
    CheckResult.objects.bulk_create(results)
    CheckResult.objects.filter(checked_at__lt=now - KEPT).delete()
    return results
