"""Benchmarks, their splits, what was submitted to them, and what others report, in the admin."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from wagtail.admin.forms import WagtailAdminModelForm
from wagtail.admin.panels import FieldPanel, MultiFieldPanel, ObjectList

from inference import selectors as inference
from inference.adapters import Asker
from inference.listings import RoomViewSet, RowAction
from leaderboard import services
from leaderboard.forms import PublishForm, RunForm
from leaderboard.models import Benchmark, LogLine, ReportedFigure, Run, Split, Submission

ORGANISERS = "organisers"
"""Who acted, where the log may be public; Wagtail's own says who it was."""


class BenchmarkForm(WagtailAdminModelForm):
    """What ranks is one of the task's own metrics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        metrics = [(m.slug, m.name) for m in self.instance.rules.metrics]
        given = self.fields["primary_metric"]
        self.fields["primary_metric"] = forms.ChoiceField(
            choices=[("", "The task's own"), *metrics], required=False, label=given.label,
            help_text="The one that ranks.",
        )  # fmt: skip


def read_only(*names: str, heading: str) -> MultiFieldPanel:
    """Fields that are shown beside those of the form."""
    return MultiFieldPanel([FieldPanel(name, read_only=True) for name in names], heading=heading)


class BenchmarkViewSet(RoomViewSet):
    """What a leaderboard says of itself, whether it takes submissions, whom it shows. Benchmarks are
    made by `manage.py benchmarks import`."""

    model = Benchmark
    icon = "order"
    allowed = ("change", "view")
    list_display = ("title", "slug", "task", "is_open", "is_shown", "entry_rule", "position")
    list_filter = ("task", "is_open", "is_shown")
    search_fields = ("title", "slug", "summary", "source")
    list_export = ("slug", "title", "task", "primary_metric", "licence", "source", "source_url",
                   "entry_rule", "is_open", "is_shown", "created_at")  # fmt: skip
    edit_handler = ObjectList(
        [
            MultiFieldPanel(
                [FieldPanel(n) for n in ("title", "summary", "prompt", "source", "source_url", "licence")],
                heading="What it says of itself",
            ),
            MultiFieldPanel(
                [FieldPanel(n) for n in ("primary_metric", "entry_rule")], heading="How it ranks"
            ),
            MultiFieldPanel(
                [FieldPanel(n) for n in ("is_open", "is_shown", "position")], heading="Where it stands"
            ),
            read_only("slug", "task", heading="From its import"),
        ],
        base_form_class=BenchmarkForm,
    )  # fmt: skip


class SplitForm(WagtailAdminModelForm):
    """One split ranks: the table is made of its scores."""

    def clean_ranks(self) -> bool:
        ranks: bool = self.cleaned_data["ranks"]
        others = Split.objects.filter(benchmark=self.instance.benchmark_id, ranks=True)
        other = others.exclude(pk=self.instance.pk).first() if ranks else None
        if other:
            raise ValidationError(f"“{other.name}” ranks: take it from there first.")
        return ranks


class SplitViewSet(RoomViewSet):
    """Limits of a benchmark's splits; items come by `manage.py benchmarks import`."""

    model = Split
    icon = "list-ul"
    allowed = ("change", "view")
    joined = ("benchmark",)
    large = ("labels", "slices")
    ordering = ("benchmark__position", "benchmark__title", "-is_public", "name")
    list_display = ("name", "benchmark__title", "is_public", "ranks", "item_count", "daily_limit",
                    "total_limit", "retired_at")  # fmt: skip
    list_filter: ClassVar[Any] = {
        "benchmark": ["exact"], "is_public": ["exact"], "ranks": ["exact"], "retired_at": ["isnull"],
    }  # fmt: skip
    search_fields = ("name", "benchmark__title", "benchmark__slug")
    list_export = ("benchmark.slug", "name", "is_public", "ranks", "item_count", "daily_limit",
                   "total_limit", "data_hash", "retired_at", "published_at")  # fmt: skip
    inspect_view_fields_exclude = ("labels", "slices", "sealed_as")
    edit_handler = ObjectList(
        [
            MultiFieldPanel(
                [FieldPanel(n) for n in ("daily_limit", "total_limit")], heading="Submissions"
            ),
            FieldPanel("ranks"),
            read_only("benchmark", "name", "is_public", "item_count", heading="From its import"),
        ],
        base_form_class=SplitForm,
    )


class PublishSplit(RowAction):
    model_class = Split
    display_name = "Make references public"
    action_type = "publish_references"
    permission = "leaderboard.change_split"
    question = (
        "Everybody can download what is right for its items from then on, and see each submission "
        "item by item. A split that ranks takes no more submissions. The public log says so. There "
        "is no way back."
    )
    done = "made public"
    icon_name = "lock-open"
    form_class = PublishForm
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: Split) -> bool:
        return not row.is_public

    def act(self, row: Split, *, by: Any, form: forms.Form) -> None:
        services.split_publish(split=row, by=by, confirm=form.cleaned_data["confirm"])


class RunModel(RowAction):
    model_class = Split
    display_name = "Run a model"
    action_type = "run_model"
    permission = "leaderboard.change_split"
    question = (
        "A model of this site answers every item of these, in the background, and the answers are "
        "scored. Of a tuned model the entry is its owner's: it counts as one of their submissions, and "
        "only they see it unless they have published the model."
    )
    done = "being run"
    icon_name = "cogs"
    form_class = RunForm

    @classmethod
    def fits(cls, row: Split) -> bool:
        return row.retired_at is None

    def act(self, row: Split, *, by: Any, form: forms.Form) -> None:
        variant, adapter = inference.model_get(form.cleaned_data["site_model"], Asker(is_site=True))
        services.run_start(split=row, variant=variant, adapter=adapter)


class RunViewSet(RoomViewSet):
    """Models of this site over splits: how far they are, and why one ended."""

    model = Run
    icon = "cogs"
    menu_label = "Runs"
    joined = ("variant", "split__benchmark")
    list_display = ("model_name", "split__benchmark__title", "split__name", "status", "error",
                    "started_at", "finished_at")  # fmt: skip
    list_filter = ("status", "variant")
    search_fields = ("variant__slug", "adapter", "split__benchmark__title", "error")
    list_export = ("model_name", "split.benchmark.slug", "split.name", "status", "error", "revision",
                   "started_at", "finished_at")  # fmt: skip


class FigureViewSet(RoomViewSet):
    model = ReportedFigure
    icon = "openquote"
    allowed = ("add", "change", "delete", "view")
    list_display = ("model", "benchmark", "metric", "value", "unit", "source", "reported_on", "is_shown")  # fmt: skip
    list_filter = ("benchmark", "is_ours", "is_shown")
    search_fields = ("model", "benchmark", "metric", "source")
    list_export = ("benchmark", "metric", "unit", "higher_is_better", "model", "is_ours", "value",
                   "source", "source_url", "reported_on", "caveat", "is_shown")  # fmt: skip


class SubmissionViewSet(RoomViewSet):
    """Every submission, withdrawn ones too: to look at when there is a dispute."""

    model = Submission
    icon = "upload"
    joined = ("team", "split__benchmark", "phase__challenge", "created_by")
    list_display = ("model_name", "team__name", "split__benchmark__title", "split__name", "status",
                    "provenance", "is_public", "created_at")  # fmt: skip
    list_filter: ClassVar[Any] = {
        "status": ["exact"], "provenance": ["exact"], "split__benchmark": ["exact"],
        "phase__challenge": ["exact"], "is_public": ["exact"], "created_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("model_name", "team__name", "id")
    list_export = ("id", "model_name", "team.name", "split.benchmark.slug", "split.name", "status",
                   "error_code", "provenance", "is_public", "parameters", "precision", "revision",
                   "file_sha256", "created_at", "finished_at")  # fmt: skip
    inspect_view_fields_exclude = ("file", "idempotency_key")


class _OfSubmissions(RowAction):
    model_class = Submission
    permission = "leaderboard.change_submission"


class Withdraw(_OfSubmissions):
    display_name = "Withdraw"
    action_type = "withdraw"
    question = (
        "These leave the table for good; their predictions are deleted, their quota stays spent:"
    )
    done = "withdrawn"
    icon_name = "bin"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: Submission) -> bool:
        return row.status != Submission.Status.WITHDRAWN

    def act(self, row: Submission, *, by: Any, form: forms.Form) -> None:
        services.submission_withdraw(submission=row, actor=ORGANISERS)


class Hide(_OfSubmissions):
    display_name = "Hide"
    action_type = "hide"
    question = "These are shown to their teams alone, until the teams show them again:"
    done = "hidden"
    icon_name = "no-view"

    @classmethod
    def fits(cls, row: Submission) -> bool:
        return row.is_public and row.status != Submission.Status.WITHDRAWN

    def act(self, row: Submission, *, by: Any, form: forms.Form) -> None:
        services.submission_publish(submission=row, is_public=False, actor=ORGANISERS)


class LogViewSet(RoomViewSet):
    model = LogLine
    icon = "history"
    menu_label = "Log"
    joined = ("benchmark",)
    list_display = ("text", "action", "actor", "benchmark__title", "is_public", "created_at")
    list_filter: ClassVar[Any] = {
        "benchmark": ["exact"], "is_public": ["exact"], "created_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("text", "action", "actor")
    list_export = ("created_at", "benchmark.slug", "submission_id", "action", "actor", "text", "is_public")  # fmt: skip
