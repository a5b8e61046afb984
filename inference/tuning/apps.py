from django.apps import AppConfig


class TuningConfig(AppConfig):
    name = "inference.tuning"
    label = "tuning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inference import adapters
        from inference.tuning import personal, receivers  # noqa: F401  # they register themselves
        from inference.tuning.named import Checkpoints

        adapters.register(Checkpoints())
