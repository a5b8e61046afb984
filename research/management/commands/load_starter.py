"""`manage.py load_starter`: the site's first content, its navigation and the model's variants."""

import os
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from inference.services import variants_sync
from research import prepared
from research.models import HomePage, StarterLoad
from research.starter import starter_load

DEV_SCENES = 120


class Command(BaseCommand):
    help = "Load starter content; safe to repeat, never overwrites what an editor changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dev-scenes", type=int, default=DEV_SCENES,
            help="scenes in the development split that the dataset page offers (default: %(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        # What is loaded is what is there now: files that change meanwhile are loaded next time.
        digest = prepared.digest(os.environ)
        with connection.cursor() as cursor:
            # Two stacks started at once must not both create the home page.
            cursor.execute("SELECT pg_advisory_lock(730001)")
            try:
                StarterLoad.objects.all().delete()
                is_first = not HomePage.objects.exists()
                loaded = starter_load(
                    base_url=settings.WAGTAILADMIN_BASE_URL, dev_scenes=options["dev_scenes"]
                )
                variants = variants_sync()
                if not is_first:  # what pages are found by may have changed with the code
                    call_command("update_index", verbosity=0)
                if options["dev_scenes"] == DEV_SCENES and not _migrations_missing():
                    cursor.execute(prepared.APPLIED)
                    StarterLoad.objects.create(digest=digest, migrations=cursor.fetchone()[0])
            finally:
                cursor.execute("SELECT pg_advisory_unlock(730001)")
        self.stdout.write(f"Pages made: {', '.join(loaded.made) or 'none, all are there'}.")
        if loaded.corrected:
            self.stdout.write(f"Nobody had touched these, and they are newer now: {', '.join(loaded.corrected)}.")  # fmt: skip
        if loaded.left:
            self.stdout.write(f"There are newer texts, but editors changed these: {', '.join(loaded.left)}.")  # fmt: skip
        self.stdout.write(f"Model variants: {', '.join(v.slug for v in variants)}.")


def _migrations_missing() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
