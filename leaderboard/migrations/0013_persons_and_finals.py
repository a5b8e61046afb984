"""Submissions count for the person who sent them, and a final ranking keeps what counted."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils.crypto import salted_hmac


def person_of(address: str) -> str:
    """As `leaderboard.services.quota` has it."""
    name, _, domain = address.strip().casefold().rpartition("@")
    if not domain or not name:
        return ""
    return salted_hmac("leaderboard.person", f"{name.partition('+')[0]}@{domain}").hexdigest()


def backfill(apps: Any, schema_editor: Any) -> None:
    lines = apps.get_model("leaderboard", "QuotaLine").objects
    for line in lines.filter(submission__created_by__isnull=False).select_related(
        "submission__created_by"
    ):
        line.user = line.submission.created_by
        line.person = person_of(line.user.email)
        line.save(update_fields=["user", "person"])
    for row in (
        apps.get_model("leaderboard", "Standing")
        .objects.filter(is_final=True)
        .select_related("submission")
    ):
        apps.get_model("leaderboard", "Participation").objects.filter(
            challenge=row.challenge_id, team=row.submission.team_id
        ).update(counted=row.submission_id)


class Migration(migrations.Migration):
    dependencies = [
        ("leaderboard", "0012_sealed_splits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "quotaline", "user",
            models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL,
                related_name="+", to=settings.AUTH_USER_MODEL,
                help_text="Who submitted: it counts for the person in every team.",
            ),
        ),
        migrations.AddField(
            "quotaline", "person",
            models.CharField(
                blank=True, max_length=64, default="",
                help_text="See `services.quota.person_of`: outlives the account.",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            "quotaline", "day",
            models.DateField(help_text="In UTC, when the request came; also for a refund."),
        ),
        migrations.AddField(
            "participation", "counted",
            models.ForeignKey(
                blank=True, null=True, editable=False, on_delete=django.db.models.deletion.SET_NULL,
                related_name="+", to="leaderboard.submission",
                help_text="What counted when the final ranking was published: that stays so.",
            ),
        ),
        migrations.AddField(
            "standing", "is_withdrawn",
            models.BooleanField(
                default=False,
                help_text="Its team took it back after the final ranking: a gap stays.",
            ),
        ),
        migrations.AddIndex(
            "quotaline", models.Index(fields=["user", "split"], name="quota_user")
        ),
        migrations.AddIndex(
            "quotaline",
            models.Index(
                condition=models.Q(("person", ""), _negated=True), fields=["person", "split"],
                name="quota_person",
            ),
        ),
        migrations.RunPython(backfill, migrations.RunPython.noop, elidable=True),
    ]  # fmt: skip
