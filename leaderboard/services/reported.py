"""Published figures."""

import json
from pathlib import Path
from typing import Any

from django.db import transaction

from leaderboard.models import ReportedFigure

REPORTED = Path(__file__).parents[1] / "reported.json"


@transaction.atomic
def reported_load() -> int:
    """Make the published figures that are missing; what an editor changed is left. Returns how
    many were made."""
    data: dict[str, Any] = json.loads(REPORTED.read_text())
    made = 0
    for group in data["figures"]:
        source = data["sources"][group["from"]]
        for model, value in group["values"].items():
            _, is_new = ReportedFigure.objects.get_or_create(
                benchmark=group["benchmark"], metric=group["metric"], model=model,
                source_url=source["source_url"],
                defaults={
                    "value": value, "unit": group["unit"], "caveat": group["caveat"],
                    "higher_is_better": group.get("higher_is_better", True),
                    "is_ours": model.startswith("moondream"),
                    "source": source["source"], "reported_on": source["reported_on"],
                },
            )  # fmt: skip
            made += is_new
    return made
