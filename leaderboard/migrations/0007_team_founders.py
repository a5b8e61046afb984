"""Who founded a team, and whose its invitation is: whoever has been in it longest."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def founders(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    team = apps.get_model("leaderboard", "Team")
    longest = team.members.through.objects.filter(team=models.OuterRef("pk")).order_by("pk")
    founder = models.Subquery(longest.values("user_id")[:1])
    team.objects.filter(is_ours=False).update(founder=founder)
    team.objects.exclude(invite_code="").update(invited_by=founder)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("leaderboard", "0006_challenges"),
    ]

    operations = [
        migrations.AddField(
            model_name="team",
            name="founder",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL,
                related_name="+", to=settings.AUTH_USER_MODEL,
                help_text="Whom no other member can take out.",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="invited_by",
            field=models.ForeignKey(
                blank=True, editable=False, null=True, related_name="+",
                on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL,
                help_text="The invitation holds while they are a member.",
            ),
        ),
        migrations.RunPython(founders, migrations.RunPython.noop),
    ]  # fmt: skip
