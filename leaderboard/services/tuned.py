"""Tuned models on leaderboards: what a submission may name, and what happens when its owner takes it back.

A name is shown where its owner has published it, and nowhere else; figures stay when the model is gone.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef

from inference import adapters, page_cache
from inference.adapters import Adapter
from inference.errors import ADAPTER_GONE
from leaderboard import errors, names
from leaderboard.models import Entry, Run, Split, Submission, Team
from leaderboard.services import stale
from leaderboard.services.quota import quota_left
from leaderboard.services.submitting import submission_publish
from leaderboard.services.teams import our_team, team_of, team_seen

_UNPUBLISHED = "its owner"


@dataclass(frozen=True, slots=True)
class Owner:
    """In whose name a model is run."""

    team: Team
    user: Any = None
    is_public: bool = True


def owner_of(run: Run) -> Owner:
    """Ours for a variant; a tuned model's figures belong to its owner, and count as theirs: a figure
    of a hidden split is told to them however it came about.

    Raises:
        NotFound: the tuned model was deleted.
    """
    if not run.adapter:
        return Owner(our_team())
    adapter = adapter_get(run.adapter)
    user = _account(adapter)
    return Owner(team_of(user) if user else our_team(), user, adapter.is_public)


def _account(adapter: Adapter) -> Any:
    if adapter.owner_id is None:
        return None
    return get_user_model().objects.filter(pk=adapter.owner_id).first()


def adapter_get(name: str) -> Adapter:
    """
    Raises:
        NotFound: it was deleted.
    """
    found = adapters.known([name]).get(name)
    if found is None:
        raise ADAPTER_GONE()
    return found


def run_check(*, split: Split, run: Run) -> None:
    """Refuse what could not be submitted when all is answered.

    Raises:
        NotFound: the tuned model was deleted.
        Forbidden: its owner has no submissions left, or the benchmark takes none.
    """
    if not run.adapter:
        return
    user = _account(adapter_get(run.adapter))
    if user is None:
        return
    if not split.benchmark.is_open:
        raise errors.BENCHMARK_CLOSED()
    left = quota_left(team=team_seen(user), split=split, user=user)
    if left["today"] == 0 or left["total"] == 0:
        raise (errors.QUOTA_DAY if left["today"] == 0 else errors.QUOTA_TOTAL)(
            "The owner of the tuned model has no submissions left, and this would be one of theirs.",
            today=left["today"], total=left["total"],
        )  # fmt: skip


def name_of(run: Run) -> str:
    """What the entry of a run is called."""
    base = run.variant.model_name
    if not run.adapter:
        return base
    adapter = adapter_get(run.adapter)
    title = names.cleaned(adapter.title)[:40].strip() if adapter.is_public else ""
    if not title or names.problem_of(title):  # others of the team read it
        return f"{base}, tuned"[:80]
    return f"{title} ({base}, tuned)"[:80]


def finetune_changed(*, finetune_id: str, is_public: bool, is_gone: bool) -> None:
    """A fine-tune was published, taken back or deleted: entries that name it follow.

    What this site ran of one that is published no more is its owner's alone from then on. What is
    deleted keeps its figures, and says so.
    """
    of = Submission.objects.filter(adapter__startswith=f"{finetune_id}@")
    if not of.exists():
        return
    # Their pages name it. (Watching the table of fine-tunes would end all pages with each step.)
    page_cache.forget(page_cache.PAGES)
    if not is_public and not is_gone:
        ran = of.filter(provenance=Submission.Provenance.REPRODUCED, is_public=True)
        for submission in ran.select_related("split__benchmark", "phase__challenge"):
            submission_publish(submission=submission, is_public=False, actor=_UNPUBLISHED)
    rows = Entry.objects.filter(Exists(of.filter(pk=OuterRef("submission"))))
    stale.tables_stale(benchmarks=rows.values_list("benchmark", flat=True))
