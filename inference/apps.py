from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inference import checks, page_cache, receivers  # noqa: F401
        from inference.models import Variant, VariantMeasurement

        page_cache.connect()
        page_cache.watch(Variant, VariantMeasurement)
