from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inference", "0010_outside_world")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="is_metered",
            field=models.BooleanField(
                default=False,
                help_text="Something is reserved for it: its end settles or releases that.",
            ),
        ),
    ]
