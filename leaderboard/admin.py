"""What admins see of the leaderboards."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from inference.errors import DomainError
from leaderboard import services
from leaderboard.forms import PublishForm, TeamNameMixin
from leaderboard.models import (
    Benchmark,
    Challenge,
    Participation,
    Phase,
    ReportedFigure,
    Split,
    Submission,
    Team,
)


@admin.register(ReportedFigure)
class ReportedFigureAdmin(admin.ModelAdmin[ReportedFigure]):
    list_display = ("benchmark", "model", "value", "unit", "source", "reported_on", "is_shown")
    list_filter = ("benchmark", "is_shown")
    search_fields = ("model", "benchmark", "source")


class SplitInline(admin.TabularInline[Split, Benchmark]):
    """Limits of a benchmark's splits; items come by `manage.py benchmarks import`."""

    model = Split
    extra = 0
    fields = (
        "name",
        "is_public",
        "ranks",
        "daily_limit",
        "total_limit",
        "item_count",
        "references",
    )
    readonly_fields = ("name", "is_public", "item_count", "references")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Benchmark | None = None) -> bool:
        return False

    @admin.display(description="References")
    def references(self, split: Split) -> str:
        if split.is_public:
            return "public"
        address = reverse("admin:publish_split", args=[split.pk])
        return format_html('hidden; <a href="{}">make public…</a>', address)


@admin.register(Benchmark)
class BenchmarkAdmin(admin.ModelAdmin[Benchmark]):
    """What a leaderboard says of itself, whether it takes submissions, whom it shows."""

    list_display = ("title", "task", "is_open", "is_shown", "entry_rule")
    inlines = (SplitInline,)

    def get_urls(self) -> list[URLPattern]:
        publish = self.admin_site.admin_view(self.publish_split)
        return [
            path("splits/<int:pk>/publish/", publish, name="publish_split"),
            *super().get_urls(),
        ]

    def publish_split(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What would become public of a hidden split, and a field to write its name in."""
        split = get_object_or_404(Split.objects.select_related("benchmark"), pk=pk)
        if not self.has_change_permission(request, split.benchmark):
            raise PermissionDenied
        form = PublishForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                services.split_publish(
                    split=split, by=request.user, confirm=form.cleaned_data["confirm"]
                )
            except DomainError as error:
                form.add_error("confirm", error.message)
            else:
                self.message_user(request, f"The references of {split.name} are public.")
                return redirect("admin:leaderboard_benchmark_change", split.benchmark_id)
        context = {
            **self.admin_site.each_context(request), "title": "Make references public",
            "opts": self.opts, "split": split, "form": form,
            "refused": services.publish_refusal(split), "submissions": split.submissions.count(),
        }  # fmt: skip
        return TemplateResponse(request, "leaderboard/admin/publish_split.html", context)


class TeamForm(TeamNameMixin, forms.ModelForm[Team]):
    """A team; who is added has to fit the challenges it is in, as by an invitation."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        members = cleaned.get("members")
        if self.instance.pk and members is not None:
            try:
                services.members_check(self.instance, members)
            except DomainError as error:
                self.add_error("members", error.message)
        return cleaned


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin[Team]):
    """Teams and who is in them."""

    form = TeamForm
    list_display = ("name", "is_ours", "created_at")
    search_fields = ("name",)
    autocomplete_fields = ("members", "founder")


@admin.register(Submission)
class SubmissionAdmin(admin.ModelAdmin[Submission]):
    """Every submission, withdrawn ones too: to look at when there is a dispute."""

    list_display = (
        "model_name",
        "team",
        "split",
        "phase",
        "status",
        "provenance",
        "is_public",
        "created_at",
    )
    list_filter = ("status", "provenance", "split__benchmark", "phase__challenge")
    search_fields = ("model_name", "team__name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        return False


def _each(
    modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any], act: Callable[[Any], Any]
) -> None:
    """Do something to every chosen row; what a row refuses is told with its name."""
    done = 0
    for row in queryset:
        try:
            act(row)
            done += 1
        except DomainError as error:
            modeladmin.message_user(request, f"{row}: {error.message}", messages.ERROR)
    if done:
        modeladmin.message_user(request, f"{done} done.", messages.SUCCESS)


class PhaseInline(admin.TabularInline[Phase, Challenge]):
    """To look at; editors change phases in the CMS, under Snippets, Challenges."""

    model = Phase
    extra = 0
    can_delete = False
    fields = ("name", "split", "starts_at", "ends_at", "feedback", "daily_limit", "total_limit")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Challenge | None = None) -> bool:
        return False


@admin.register(Challenge)
class ChallengeAdmin(admin.ModelAdmin[Challenge]):
    """Freezing standings and publishing the final ranking; dates are edited in the CMS."""

    list_display = ("title", "benchmark", "state", "opens_at", "closes_at", "freeze_at", "published_at")  # fmt: skip
    list_filter = ("benchmark",)
    search_fields = ("title", "slug")
    actions = ("freeze_now", "publish_final")
    inlines = (PhaseInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Challenge | None = None) -> list[str]:
        return [f.name for f in Challenge._meta.fields if f.name != "id"]

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("leaderboard.publish_challenge")

    @admin.action(description="Freeze the standings now", permissions=["publish"])
    def freeze_now(self, request: HttpRequest, queryset: QuerySet[Challenge]) -> None:
        _each(self, request, queryset, lambda c: services.challenge_freeze(challenge=c, by=request.user))  # fmt: skip

    @admin.action(description="Publish the final ranking", permissions=["publish"])
    def publish_final(self, request: HttpRequest, queryset: QuerySet[Challenge]) -> None:
        _each(self, request, queryset, lambda c: services.final_publish(challenge=c, by=request.user))  # fmt: skip


class DecisionForm(forms.ModelForm[Participation]):
    """What is decided about a team; the reason is shown to it."""

    decision = forms.ChoiceField(
        choices=[("", "Nothing"), *((d, d.capitalize()) for d in services.DECISIONS)],
        required=False,
    )
    because = forms.CharField(
        label="Reason", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The team sees it, and is told by mail; the public does not. Needed to decline or disqualify.",
    )  # fmt: skip

    class Meta:
        model = Participation
        fields: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        decision = services.DECISIONS.get(data.get("decision", ""))
        if decision is None:
            return data
        if decision.needs_reason and not data.get("because", "").strip():
            self.add_error("because", "The team has to know why.")
        if self.instance.state not in decision.from_states:
            state = self.instance.get_state_display().lower()
            self.add_error("decision", f"The team is {state} now.")
        return data


@admin.register(Participation)
class ParticipationAdmin(admin.ModelAdmin[Participation]):
    """Teams in challenges: accept, decline, disqualify, reinstate."""

    form = DecisionForm
    list_display = ("team", "challenge", "state", "reason", "created_at", "decided_by")
    list_filter = ("state", "challenge")
    search_fields = ("team__name", "challenge__title")
    actions = ("accept",)
    fields = ("decision", "because", "challenge", "team", "state", "reason", "rules_accepted_at",
              "joined_by", "decided_by", "decided_at", "chosen")  # fmt: skip
    readonly_fields = fields[2:]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Participation | None = None) -> bool:
        return False

    @admin.action(description="Accept", permissions=["change"])
    def accept(self, request: HttpRequest, queryset: QuerySet[Participation]) -> None:
        _each(self, request, queryset, lambda p: services.participation_decide(
            participation=p, decision="accept", by=request.user))  # fmt: skip

    def save_model(
        self, request: HttpRequest, obj: Participation, form: Any, change: bool  # noqa: FBT001  # Django's signature
    ) -> None:  # fmt: skip
        if form.cleaned_data.get("decision"):
            services.participation_decide(
                participation=obj, decision=form.cleaned_data["decision"], by=request.user,
                reason=form.cleaned_data["because"],
            )  # fmt: skip
