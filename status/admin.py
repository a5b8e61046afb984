from django.contrib import admin

from status.models import CheckResult


@admin.register(CheckResult)
class CheckResultAdmin(admin.ModelAdmin[CheckResult]):
    list_display = ("component", "state", "latency_ms", "checked_at")
    list_filter = ("state", "component")
