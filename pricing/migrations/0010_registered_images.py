from django.db import migrations, models


class Migration(migrations.Migration):
    """The table was empty: nothing filled it before."""

    dependencies = [("pricing", "0009_credits")]

    operations = [
        migrations.DeleteModel(name="RegisteredImage"),
        migrations.CreateModel(
            name="RegisteredImage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(db_index=True, max_length=64)),
                ("dataset", models.CharField(max_length=80)),
                ("file", models.CharField(help_text="In the media storage.", max_length=200)),
                ("registered_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("dataset", "file", "sha256"), name="registered_once"
                    )
                ],
            },
        ),
    ]
