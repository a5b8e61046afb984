"""`manage.py make_admin EMAIL`: an admin, and a link to sign in by."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pricing.services import admin_make


class Command(BaseCommand):
    help = "Makes an account an admin, and prints a link that sets its password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        try:
            link = admin_make(email=email)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(
            f"{email} is an admin. Choose a password, for three days from now:\n  {link}"
        )
