"""`manage.py load_starter`: the site's first content, its navigation and the model's variants."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from inference.services import variants_sync
from research.starter import starter_load


class Command(BaseCommand):
    help = "Load starter content; safe to repeat, never overwrites what an editor changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dev-scenes", type=int, default=120,
            help="scenes in the development split that the dataset page offers (default: %(default)s)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            # Two stacks started at once must not both create the home page.
            cursor.execute("SELECT pg_advisory_lock(730001)")
            try:
                made = starter_load(
                    base_url=settings.WAGTAILADMIN_BASE_URL, dev_scenes=options["dev_scenes"]
                )
            finally:
                cursor.execute("SELECT pg_advisory_unlock(730001)")
        self.stdout.write(f"Pages made: {', '.join(made) or 'none, all are there'}.")
        variants = variants_sync()
        self.stdout.write(f"Model variants: {', '.join(v.slug for v in variants)}.")
