"""Keeping the figures that costs are made of."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from pricing.models import MachinePrice, MeasuredTime

LEAST = 30
"""Answers from which on what was answered counts, and not the variant's own measurement."""
DAYS = 30
_MEASURE = """
SELECT variant_id, skill,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY spent),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY spent),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY tokens),
    count(*)
FROM (
    SELECT variant_id, skill,
        ((timings->>'total_ms')::float - (timings->>'queue_ms')::float - coalesce((timings->>'load_ms')::float, 0))
            / 1000 AS spent,
        coalesce((tokens->>'completion')::float, 0) AS tokens
    FROM inference_job
    WHERE status = 'succeeded' AND adapter = '' AND created_at > %s
        AND timings ? 'total_ms' AND timings ? 'queue_ms'
        AND NOT timings ? 'batch_size'  -- what several share is no figure for one
) AS answers
WHERE spent > 0
GROUP BY variant_id, skill HAVING count(*) >= %s
"""


@transaction.atomic
def times_measure() -> int:
    """Note what answers of the last thirty days took, by variant and skill; how many kinds there are."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_MEASURE, [now - timedelta(days=DAYS), LEAST])
        rows = cursor.fetchall()
    kept = set()
    for variant_id, skill, median, p95, tokens, count in rows:
        fields: dict[str, Any] = {
            "median_s": median, "p95_s": p95, "output_tokens": tokens, "answers": count,
            "measured_at": now,
        }  # fmt: skip
        row, _ = MeasuredTime.objects.update_or_create(
            variant_id=variant_id, skill=skill, defaults=fields
        )
        kept.add(row.pk)
    MeasuredTime.objects.exclude(pk__in=kept).delete()
    return len(rows)


def prices_load() -> None:
    """The machine's price that a site starts with, where it has none."""
    if MachinePrice.objects.exists():
        return
    MachinePrice.objects.create(
        name="c7i.large, us-east-1", device="cpu", dollars_an_hour=Decimal("0.08925"),
        source="AWS on-demand price of a c7i.large, us-east-1, as last checked by the editors",
        source_url="https://aws.amazon.com/ec2/pricing/on-demand/", checked_on=date(2026, 11, 24),
    )  # fmt: skip
