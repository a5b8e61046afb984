"""What admins see of the leaderboards."""

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.models import Benchmark, ReportedFigure, Split, Submission, Team


@admin.register(ReportedFigure)
class ReportedFigureAdmin(admin.ModelAdmin[ReportedFigure]):
    list_display = ("benchmark", "model", "value", "unit", "source", "reported_on", "is_shown")
    list_filter = ("benchmark", "is_shown")
    search_fields = ("model", "benchmark", "source")


class SplitInline(admin.TabularInline[Split, Benchmark]):
    """Limits of a benchmark's splits; items come by `manage.py benchmarks import`."""

    model = Split
    extra = 0
    fields = ("name", "is_public", "ranks", "daily_limit", "total_limit", "item_count")
    readonly_fields = ("name", "item_count")
    can_delete = False


@admin.register(Benchmark)
class BenchmarkAdmin(admin.ModelAdmin[Benchmark]):
    """What a leaderboard says of itself, whether it takes submissions, whom it shows."""

    list_display = ("title", "task", "is_open", "is_shown", "entry_rule")
    inlines = (SplitInline,)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin[Team]):
    """Teams and who is in them."""

    list_display = ("name", "is_ours", "created_at")
    search_fields = ("name",)
    autocomplete_fields = ("members",)


@admin.register(Submission)
class SubmissionAdmin(admin.ModelAdmin[Submission]):
    """Every submission, withdrawn ones too: to look at when there is a dispute."""

    list_display = (
        "model_name",
        "team",
        "split",
        "status",
        "provenance",
        "is_public",
        "created_at",
    )
    list_filter = ("status", "provenance", "split__benchmark")
    search_fields = ("model_name", "team__name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        return False
