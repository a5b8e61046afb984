"""Splits know where their references are sealed. What was published of hidden ones and could be
tested against guesses goes: plain hashes, in signatures and the log too, and categories that may come
of the reference. `manage.py benchmarks reseal` gives them keyed hashes."""

import re
from typing import Any

from django.db import migrations, models

PLAIN = re.compile(r"data:[0-9a-f]{12}")


def close(apps: Any, schema_editor: Any) -> None:
    get = apps.get_model
    for split in get("leaderboard", "Split").objects.exclude(data_hash=""):
        split.sealed_as = f"references/{split.pk}-{split.data_hash[:16]}.sealed"
        if not split.is_public:
            told, split.data_hash = split.data_hash[:12], ""
            log = get("leaderboard", "LogLine").objects.filter(benchmark=split.benchmark_id)
            for line in log.filter(text__contains=told):
                line.text = line.text.replace(told, "withheld")
                line.save(update_fields=["text"])
            get("leaderboard", "BenchmarkItem").objects.filter(split=split).update(category="")
            get("leaderboard", "Run").objects.filter(split=split).update(data_hash="")
            scores = get("leaderboard", "Score").objects.filter(submission__split=split)
            for score in scores.only("signature").iterator(500):
                score.signature = PLAIN.sub("data:pending", score.signature)
                score.save(update_fields=["signature"])
        split.save(update_fields=["sealed_as", "data_hash"])
    sealed = get("leaderboard", "Submission").objects.filter(
        phase__feedback="sealed", phase__challenge__published_at=None
    )
    get("leaderboard", "LogLine").objects.filter(
        submission_id__in=sealed.values_list("pk", flat=True)
    ).update(is_public=False)


class Migration(migrations.Migration):
    dependencies = [("leaderboard", "0011_item_blocks")]

    operations = [
        migrations.AddField(
            "split", "published_at",
            models.DateTimeField(
                blank=True, editable=False, null=True,
                help_text="When its hidden references became public.",
            ),
        ),
        migrations.AddField(
            "split", "retired_at",
            models.DateTimeField(
                blank=True, editable=False, null=True, help_text="Another took its place then."
            ),
        ),
        migrations.AddField(
            "split", "sealed_as",
            models.CharField(
                blank=True, editable=False, max_length=200, help_text="In the private storage."
            ),
        ),
        migrations.AddField(
            "split", "slices",
            models.JSONField(
                blank=True, default=dict, editable=False,
                help_text="Category → how many items; what is told by category is decided by it.",
            ),
        ),
        migrations.AlterField(
            "split", "data_hash",
            models.CharField(
                blank=True, max_length=64,
                help_text="Of a hidden split keyed: see `vault.fingerprint`.",
            ),
        ),
        migrations.RunPython(close, migrations.RunPython.noop, elidable=True),
    ]  # fmt: skip
