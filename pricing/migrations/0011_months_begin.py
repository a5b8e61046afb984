"""A month's allotment begins with the month. It began with the first call that waited for the account's row, so
that another one with an earlier clock did not find it."""

from pathlib import Path

from django.db import migrations

_FILE = Path(__file__).parents[1].joinpath("sql", "ledger.sql").read_text()
_FUNCTIONS = _FILE[_FILE.index("CREATE OR REPLACE FUNCTION pricing_reserve(") :]
"""Both can be made again; the triggers before them are there."""


class Migration(migrations.Migration):
    dependencies = [("pricing", "0010_registered_images")]

    operations = [
        migrations.RunSQL(_FUNCTIONS, migrations.RunSQL.noop),
        migrations.RunSQL(
            "UPDATE pricing_allotment SET starts_at = period::timestamp AT TIME ZONE 'UTC' WHERE kind = 'plan'",
            migrations.RunSQL.noop,
        ),
    ]
