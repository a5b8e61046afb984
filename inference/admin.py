"""Django admin: variants may be edited, jobs only read."""

from django.contrib import admin
from django.http import HttpRequest

from inference.models import Job, Variant, VariantMeasurement


@admin.register(Variant)
class VariantAdmin(admin.ModelAdmin[Variant]):
    list_display = ("slug", "name", "quantization", "enabled", "is_default", "weight_bytes")
    readonly_fields = ("parameters", "weight_bytes", "loaded_dtype", "load_ms", "measured_at")


@admin.register(VariantMeasurement)
class VariantMeasurementAdmin(admin.ModelAdmin[VariantMeasurement]):
    list_display = ("variant", "revision", "measured_at", "hardware", "encode_ms", "tokens_per_s")
    list_select_related = ("variant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: VariantMeasurement | None = None
    ) -> bool:
        return False


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    list_display = ("id", "skill", "variant", "status", "caller", "created_at")
    list_filter = ("status", "skill", "caller", "variant")
    list_select_related = ("variant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False
