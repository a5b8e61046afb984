"""Published figures, for admins."""

from django.contrib import admin

from leaderboard.models import ReportedFigure


@admin.register(ReportedFigure)
class ReportedFigureAdmin(admin.ModelAdmin[ReportedFigure]):
    list_display = ("benchmark", "model", "value", "unit", "source", "reported_on", "is_shown")
    list_filter = ("benchmark", "is_shown")
    search_fields = ("model", "benchmark", "source")
