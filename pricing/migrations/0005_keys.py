import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pricing", "0004_mail_texts")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="expires_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="monthly_images",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="The most that it may use of the account's images a month.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Requests a minute, within the account's own limit.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="replaced_by",
            field=models.ForeignKey(
                blank=True,
                help_text="The key that took its place when it was rotated.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="replaces",
                to="pricing.apikey",
            ),
        ),
    ]
