from django.apps import AppConfig


class ResearchConfig(AppConfig):
    name = "research"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Publishing, and whatever else pages show, empties the page cache."""
        from research import addresses, mails, personal, receivers  # noqa: F401  # declare themselves

        receivers.connect()
        addresses.connect()
