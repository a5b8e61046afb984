from django.apps import AppConfig


class StatusConfig(AppConfig):
    name = "status"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inference import page_cache
        from status.models import CheckResult

        page_cache.watch(CheckResult, topic=page_cache.STATUS)
