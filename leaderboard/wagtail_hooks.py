"""The editors' side: prompts that people propose; challenges are in a file of their own."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods
from wagtail import hooks
from wagtail.admin.panels import FieldPanel, MultiFieldPanel
from wagtail.admin.widgets.button import BaseButton, ListingButton
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from inference import waiting
from inference.errors import DomainError
from inference.listings import RoomViewSet, register_actions
from inference.waiting import Waiting, listed
from leaderboard import services, snippets_boards, snippets_challenges, snippets_teams
from leaderboard.models import BenchmarkPrompt, Challenge, Participation, Submission


class PromptViewSet(RoomViewSet):
    """Curated prompts; those that wait can be found by their state."""

    model = BenchmarkPrompt
    menu_label = "Prompts"
    icon = "clipboard-list"
    allowed = ("add", "change", "delete", "view")
    joined = ("benchmark", "proposed_by")
    list_display = ("__str__", "skill", "state", "proposed_by", "created_at")
    list_filter = ("state", "skill", "benchmark")
    search_fields = ("text", "name", "source")
    ordering = ("-created_at",)
    list_export = ("benchmark.title", "name", "skill", "text", "note", "source", "source_url", "state",
                   "created_at", "decided_at")  # fmt: skip
    panels = (
        MultiFieldPanel([FieldPanel("benchmark"), FieldPanel("name")], heading="Benchmark"),
        FieldPanel("skill"),
        FieldPanel("text"),
        FieldPanel("note"),
        MultiFieldPanel([FieldPanel("source"), FieldPanel("source_url")], heading="Source"),
        FieldPanel("figure"),
    )


class LeaderboardGroup(SnippetViewSetGroup):
    menu_label = "Leaderboards"
    menu_name = "leaderboards"
    menu_icon = "order"
    menu_order = 350
    items = (
        snippets_boards.BenchmarkViewSet, snippets_boards.SplitViewSet, snippets_boards.SubmissionViewSet, snippets_boards.RunViewSet,
        snippets_teams.TeamViewSet, snippets_challenges.ChallengeViewSet,
        snippets_teams.ParticipationViewSet, PromptViewSet, snippets_boards.FigureViewSet,
        snippets_boards.LogViewSet,
    )  # fmt: skip


register_snippet(LeaderboardGroup)
register_actions(
    snippets_boards.PublishSplit, snippets_boards.RunModel, snippets_boards.Withdraw, snippets_boards.Hide,
    snippets_teams.Accept, snippets_teams.Decline, snippets_teams.Disqualify, snippets_teams.Reinstate,
    snippets_teams.DeleteTeam, snippets_teams.Freeze, snippets_teams.PublishRanking,
)  # fmt: skip


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Prompts and teams to decide on, challenges that are over, submissions nobody scores."""
    now = timezone.now()
    prompts = BenchmarkPrompt.objects.filter(state=BenchmarkPrompt.State.PROPOSED)
    teams = Participation.objects.filter(state=Participation.State.PENDING)
    over = Challenge.objects.filter(closes_at__lt=now, published_at=None, is_sample=False)
    late = Submission.objects.filter(
        status__in=Submission.UNFINISHED, created_at__lt=now - timedelta(minutes=10)
    )
    may = user.has_perm
    return [
        Waiting("prompts to decide on", prompts.count, listed(BenchmarkPrompt, state="proposed"),
                may("leaderboard.change_benchmarkprompt")),
        Waiting("teams that wait to take part", teams.count, listed(Participation, state="pending"),
                may("leaderboard.change_participation")),
        Waiting("challenges that are over and have no final ranking", over.count, listed(Challenge),
                may("leaderboard.change_standing")),
        Waiting("submissions that wait for a score for ten minutes", late.count,
                listed(Submission, status="queued"), may("leaderboard.change_submission")),
    ]  # fmt: skip


@hooks.register("register_snippet_listing_buttons")
def decide_button(snippet: Any, user: Any, next_url: str | None = None) -> list[BaseButton]:
    """To approve or decline, on each row of the list."""
    if not isinstance(snippet, BenchmarkPrompt):
        return []
    if not user.has_perm("leaderboard.change_benchmarkprompt"):
        return []
    waits = snippet.state == BenchmarkPrompt.State.PROPOSED
    label = "Decide" if waits else "Decide again"
    return [ListingButton(label, reverse("decide_prompt", args=[snippet.pk]), priority=5)]


@permission_required("leaderboard.change_benchmarkprompt", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest, prompt_id: int) -> HttpResponse:
    """A proposal as its proposer wrote it, to approve or decline."""
    prompt = get_object_or_404(
        BenchmarkPrompt.objects.select_related("benchmark", "figure", "proposed_by"), pk=prompt_id
    )
    context: dict[str, Any] = {"prompt": prompt, "reason": request.POST.get("reason", "")}
    if request.method == "POST":
        try:
            decided = services.prompt_decide(
                prompt_id=prompt_id, by=request.user, approve="approve" in request.POST,
                reason=context["reason"],
            )  # fmt: skip
        except DomainError as error:
            context["error"] = error
            return render(request, "leaderboard/admin/decide.html", context, status=error.status)
        messages.success(request, f"{decided.title}: {decided.get_state_display().lower()}.")
        return redirect(BenchmarkPrompt.snippet_viewset.get_url_name("list"))  # type: ignore[attr-defined]
    return render(request, "leaderboard/admin/decide.html", context)


@hooks.register("register_admin_urls")
def decide_urls() -> list[URLPattern]:
    return [path("prompts/<int:prompt_id>/decide/", decide, name="decide_prompt")]
