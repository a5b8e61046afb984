"""Editors make challenges and set their dates: a snippet, with its phases beneath. `wagtail_hooks`
registers it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from modelcluster.forms import BaseChildFormSet
from wagtail import hooks
from wagtail.admin.forms import WagtailAdminModelForm
from wagtail.admin.panels import FieldPanel, InlinePanel, MultiFieldPanel, ObjectList
from wagtail.admin.ui.tables import LiveStatusTagColumn
from wagtail.snippets.views.chooser import SnippetChooserViewSet, SnippetCreateView
from wagtail.snippets.views.snippets import SnippetViewSet

from leaderboard import services
from leaderboard.models import Challenge, Phase


class PhaseFormSet(BaseChildFormSet):
    """Phases follow one another within the challenge, on its benchmark, and end on a hidden split."""

    instance: Challenge

    def clean(self) -> None:
        kept = [form for form in self.forms if _filled(form) and not self._should_delete_form(form)]
        kept.sort(key=lambda form: form.cleaned_data["starts_at"])
        # An error takes its field out of the form's own data.
        data = [dict(form.cleaned_data) for form in kept]
        names = Counter(row["name"] for row in data)
        for number, (form, row) in enumerate(zip(kept, data, strict=True)):
            before = data[number - 1]["ends_at"] if number else None
            found = self._problems(row, before)
            if names[row["name"]] > 1:
                found["name"] = "Another phase has this name."
            if "split" in form.changed_data and _has_submissions(form.instance):
                found["split"] = "The phase has submissions to another split."
            for field, problem in found.items():
                form.add_error(field, problem)
        if data and data[-1]["split"].is_public:
            kept[-1].add_error("split", "The last phase ranks: its split has to be hidden.")
        super().clean()
        # Of a form that goes, errors are not looked at.
        for form in self.forms:
            if self._should_delete_form(form) and _has_submissions(form.instance):
                raise ValidationError(f"“{form.instance.name}” has submissions: it cannot go.")

    def _problems(self, row: dict[str, Any], before: datetime | None) -> dict[str, str]:
        # What the challenge's own form found wrong with its dates is not compared with.
        opens: datetime | None = self.instance.opens_at
        closes: datetime | None = self.instance.closes_at
        found = {}
        if row["ends_at"] <= row["starts_at"]:
            found["ends_at"] = "It must end after it starts."
        elif closes and row["ends_at"] > closes:
            found["ends_at"] = "It must end before the challenge closes."
        if opens and row["starts_at"] < opens:
            found["starts_at"] = "It must start after the challenge opens."
        elif before and row["starts_at"] < before:
            found["starts_at"] = "It must start after the phase before it has ended."
        if row["split"].benchmark_id != self.instance.benchmark_id:
            found["split"] = "It is a split of another benchmark."
        return found


def _filled(form: Any) -> bool:
    needed = ("name", "split", "starts_at", "ends_at")
    return all((getattr(form, "cleaned_data", None) or {}).get(name) for name in needed)


def _has_submissions(phase: Phase) -> bool:
    return bool(phase.pk) and phase.submissions.exists()


class PhasesPanel(InlinePanel):
    """The phases, with what they must fulfil together."""

    def get_form_options(self) -> dict[str, Any]:
        options: dict[str, Any] = super().get_form_options()
        options["formsets"][self.relation_name]["formset"] = PhaseFormSet
        return options


class ChallengeForm(WagtailAdminModelForm):
    """Its phases are compared with its dates as they were sent, also before it is saved."""

    def clean_freeze_at(self) -> datetime | None:
        """What was sent; a freeze that has begun stays, to the second, which the field does not show."""
        sent: datetime | None = self.cleaned_data["freeze_at"]
        begun = self.instance.freeze_begun
        if begun is None:
            return sent
        if sent is None or abs(sent - begun) >= timedelta(minutes=1):
            raise ValidationError(
                f"The standings stand still since {begun:%Y-%m-%d %H:%M} UTC, until the final ranking."
            )
        return begun

    def is_valid(self) -> bool:
        for formset in self.formsets.values():
            formset.instance = self.instance
        return bool(super().is_valid())


class ChosenOnly(SnippetCreateView):
    """In the choosers nothing is made, so that there is no form to send: Wagtail's own view fails."""

    http_method_names = ("get", "head", "options")


class ChooserViewSet(SnippetChooserViewSet):
    create_view_class = ChosenOnly


class ChallengeViewSet(SnippetViewSet):
    model = Challenge
    chooser_viewset_class = ChooserViewSet
    joined: ClassVar[tuple[str, ...]] = ("benchmark",)
    icon = "crosshairs"
    list_display: ClassVar[list[Any]] = [
        "title", "benchmark", "opens_at", "closes_at", "state", LiveStatusTagColumn(),
    ]  # fmt: skip
    list_filter: ClassVar[list[str]] = ["benchmark", "is_shown", "is_sample"]
    search_fields: ClassVar[list[str]] = ["title"]
    list_export: ClassVar[list[str]] = [
        "slug", "title", "benchmark.slug", "opens_at", "closes_at", "freeze_at", "published_at",
        "team_size", "needs_approval", "is_shown", "is_sample",
    ]  # fmt: skip
    edit_handler = ObjectList(
        [
            MultiFieldPanel(
                [
                    *(FieldPanel(n, required_on_save=True) for n in ("title", "slug", "summary")),
                    *(FieldPanel(n) for n in ("benchmark", "is_shown", "is_sample")),
                ],
                heading="What it is",
            ),
            MultiFieldPanel(
                [FieldPanel(n) for n in ("opens_at", "closes_at", "freeze_at")], heading="When"
            ),
            MultiFieldPanel([FieldPanel(n) for n in ("team_size", "needs_approval")], heading="Who"),
            PhasesPanel("phases", label="Phase", min_num=1),
        ],
        base_form_class=ChallengeForm,
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return Challenge.objects.select_related(*self.joined)


@hooks.register("before_delete_snippet")
def _kept(request: HttpRequest, instances: Iterable[Any]) -> HttpResponse | None:
    """A challenge with submissions or teams stays: their results rest on it."""
    kept = [i for i in instances if isinstance(i, Challenge) and services.challenge_is_used(i)]
    if not kept:
        return None
    names = ", ".join(f"“{challenge.title}”" for challenge in kept)
    messages.error(
        request, f"{names} has submissions: it cannot be deleted. Hide it by “is shown” instead."
    )
    return redirect(Challenge.snippet_viewset.get_url_name("list"))  # type: ignore[attr-defined]
