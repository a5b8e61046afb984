"""Members have roles: whoever founded a team is its owner, and where that is nobody, who has been in it longest.
The table of members stays the one it was."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

ROLES = [("owner", "Owner"), ("member", "Member"), ("billing", "Billing")]
_OWNERS = """
UPDATE leaderboard_team_members m SET role = 'owner' FROM leaderboard_team t
WHERE t.id = m.team_id AND m.id = coalesce(
    (SELECT f.id FROM leaderboard_team_members f WHERE f.team_id = t.id AND f.user_id = t.founder_id),
    (SELECT min(f.id) FROM leaderboard_team_members f WHERE f.team_id = t.id)
)
"""
_FOUNDERS = """
UPDATE leaderboard_team t SET founder_id = (
    SELECT f.user_id FROM leaderboard_team_members f WHERE f.team_id = t.id AND f.role = 'owner' ORDER BY f.id LIMIT 1
)
"""
# Members could make links, which owners alone do now.
_LINKS = """
UPDATE leaderboard_team t SET invite_code = '', invite_until = NULL, invited_by_id = NULL
WHERE NOT EXISTS (
    SELECT FROM leaderboard_team_members m
    WHERE m.team_id = t.id AND m.user_id = t.invited_by_id AND m.role = 'owner'
);
-- What is checked at the end of a transaction has to be done before the table is altered.
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED
"""


class Migration(migrations.Migration):
    dependencies = [
        ("leaderboard", "0018_run_costs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Membership",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "team",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="memberships", to="leaderboard.team",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="memberships", to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "db_table": "leaderboard_team_members",
                        "ordering": ["pk"],
                        "unique_together": {("team", "user")},
                    },
                ),
                migrations.AlterField(
                    model_name="team",
                    name="members",
                    field=models.ManyToManyField(
                        blank=True, related_name="teams", through="leaderboard.Membership",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="membership",
            name="role",
            field=models.CharField(choices=ROLES, default="member", max_length=8),
        ),
        migrations.AddField(
            model_name="membership",
            name="joined_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name="team",
            name="invite_role",
            field=models.CharField(
                choices=ROLES, default="member", editable=False,
                help_text="What whoever joins by it becomes.", max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="team",
            name="invited_by",
            field=models.ForeignKey(
                blank=True, editable=False, help_text="The invitation holds while they may invite.", null=True,
                on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunSQL(_OWNERS, _FOUNDERS),
        migrations.RunSQL(_LINKS, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="team", name="founder"),
    ]  # fmt: skip
