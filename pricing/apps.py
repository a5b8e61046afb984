from django.apps import AppConfig


class PricingConfig(AppConfig):
    name = "pricing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inference import metering, page_cache
        from pricing import personal, receivers  # noqa: F401
        from pricing.meter import LedgerMeter
        from pricing.models import (
            MachinePrice,
            MeasuredTime,
            Plan,
            PlanVersion,
            PricingSettings,
        )

        metering.register(LedgerMeter())
        page_cache.watch(MachinePrice, MeasuredTime, Plan, PlanVersion, PricingSettings)
