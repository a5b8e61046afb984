"""How accounts sign in gets names of this site's own. Django's own admin is no more: what it noted of
who did what goes on in Wagtail's log, and its table, which would keep accounts from being deleted,
goes."""

from typing import Any

from django.db import migrations

_CARRIED = """
INSERT INTO wagtailcore_modellogentry (
    content_type_id, label, action, data, timestamp, content_changed, deleted, object_id, user_id
)
SELECT content_type_id, object_repr,
       CASE action_flag WHEN 1 THEN 'wagtail.create' WHEN 3 THEN 'wagtail.delete' ELSE 'wagtail.edit' END,
       '{}'::jsonb, action_time, true, action_flag = 3, object_id, user_id
FROM django_admin_log WHERE object_id IS NOT NULL AND length(object_id) <= 255
"""


def carry_over(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_admin_log') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(_CARRIED)
        cursor.execute("DROP TABLE django_admin_log")
    apps.get_model("contenttypes", "ContentType").objects.filter(app_label="admin").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0009_emailaddress_unique_primary_email"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("pricing", "0002_api_key_name"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
        ("wagtailcore", "0098_apitoken"),
    ]

    operations = [
        migrations.CreateModel(
            name="LinkedAccount",
            fields=[],
            options={
                "verbose_name": "account elsewhere",
                "verbose_name_plural": "accounts elsewhere",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("socialaccount.socialaccount",),
        ),
        migrations.CreateModel(
            name="MailAddress",
            fields=[],
            options={
                "verbose_name": "mail address",
                "verbose_name_plural": "mail addresses",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("account.emailaddress",),
        ),
        migrations.CreateModel(
            name="SecondStep",
            fields=[],
            options={
                "verbose_name": "second step",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("mfa.authenticator",),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
    ]
