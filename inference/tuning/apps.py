from django.apps import AppConfig


class TuningConfig(AppConfig):
    name = "inference.tuning"
    label = "tuning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inference import adapters
        from inference.tuning import receivers  # noqa: F401
        from inference.tuning.named import Checkpoints

        adapters.register(Checkpoints())
