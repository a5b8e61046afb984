"""Teams' names told apart by their look. Those that are there keep their names: where two look alike, the
one that was made later has its number behind a "#" in its look, which no new name can have."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from leaderboard.names import look_of


def looks(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    teams = list(apps.get_model("leaderboard", "Team").objects.order_by("created_at", "pk"))
    seen: set[str] = set()
    for team in teams:
        look = look_of(team.name)
        team.look = look if look not in seen else f"{look}#{team.pk}"
        seen.add(look)
    apps.get_model("leaderboard", "Team").objects.bulk_update(teams, ["look"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("leaderboard", "0007_team_founders")]

    operations = [
        migrations.AddField(
            model_name="team",
            name="look",
            field=models.CharField(max_length=220, editable=False, null=True),
        ),
        migrations.RunPython(looks, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="team",
            name="look",
            field=models.CharField(
                max_length=220, unique=True, editable=False,
                help_text="Names that look alike have the same (leaderboard.names.look_of).",
            ),
        ),
    ]  # fmt: skip
