"""Items of a split with what was said about them, and two submissions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.core.paginator import Page, Paginator
from django.db.models import BinaryField, F, Func

from inference.engine.metrics.numeric import np
from leaderboard import disclosure, errors
from leaderboard.metrics.intervals import (
    difference_interval,
    spread_of_contributions,
    spread_of_mean,
)
from leaderboard.metrics.statistics import paired_p
from leaderboard.models import BenchmarkItem, Score, Submission
from leaderboard.selectors.blocks import references_at, said_at
from leaderboard.selectors.details import Detail, entry_detail
from leaderboard.selectors.tables import Cell
from leaderboard.services.blocks import words
from leaderboard.services.pairs import kept_p

PREPARING = "being prepared"
"""Where a worker has not laid out yet what there is to read."""
COUNTED = 20_000
"""Items that a page goes through to compare two entries; of larger splits it shows what is kept."""
_FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item of a public split with what was predicted and what is right."""

    item: BenchmarkItem
    image_url: str
    predicted: list[str]
    scores: list[float | None]
    reference: str
    ref: str
    """Its name in addresses: leaderboard/split/key."""


def image_url(item: BenchmarkItem) -> str:
    """Where an item's image is."""
    return item.image if item.image.startswith("http") else default_storage.url(item.image)


def right(reference: Mapping[str, Any]) -> str:
    """A reference in words."""
    if "captions" in reference:
        return " / ".join(reference["captions"])
    if "answers" in reference:
        return ", ".join(dict.fromkeys(reference["answers"]))
    if "objects" in reference:
        return words(reference["objects"])
    return str(reference.get("count", reference.get("answer", "")))


def items_page(
    submissions: Sequence[Submission], number: str | int, size: int = 20
) -> tuple[Page, list[ItemView]]:
    """Items of a public split with what submissions to it said about each.

    Raises:
        NotFound: the split is hidden: what was predicted for it is not shown item by item.
    """
    split = submissions[0].split
    if not split.is_public:
        raise errors.SPLIT_HIDDEN()
    page = Paginator(range(split.item_count), size).get_page(number)
    positions = list(page.object_list)
    items = split.items.filter(position__in=positions).order_by("position")
    references, said = references_at(split, positions), said_at(submissions, positions)
    scores = _scores_at(submissions, positions)
    views = [
        ItemView(
            item, image_url(item), [said[s.pk].get(item.position, PREPARING) for s in submissions],
            [scores.get((s.pk, item.position)) for s in submissions],
            right(known.reference) if (known := references.get(item.position)) else PREPARING,
            f"{split.benchmark.slug}/{split.name}/{item.key}",
        )
        for item in items
    ]  # fmt: skip
    return page, views


def _scores_at(
    submissions: Sequence[Submission], positions: Sequence[int]
) -> dict[tuple[UUID, int], float]:
    """Scores of some items in a row by submission and position; the database cuts them out."""
    if not positions:
        return {}
    cut: Any = Func(
        F("per_item"), 1 + _FLOAT32 * positions[0], _FLOAT32 * len(positions),
        function="substring", output_field=BinaryField(),
    )  # fmt: skip
    rows = Score.objects.filter(
        submission__in=[s.pk for s in submissions], is_current=True, per_item__isnull=False,
        metric=submissions[0].split.benchmark.ranked_by.slug,
    ).annotate(cut=cut)  # fmt: skip
    return {
        (pk, positions[0] + n): float(score)
        for pk, data in rows.values_list("submission_id", "cut")
        for n, score in enumerate(np.frombuffer(data, dtype=np.float32))
    }


def _ranking_score(submission: Submission) -> Score | None:
    slug = submission.split.benchmark.ranked_by.slug
    return submission.scores.filter(is_current=True, metric=slug).first()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries on the same split, by the metric that ranks."""

    left: Detail
    right: Detail
    difference: Cell | None = None
    p: float | None = None
    wins: int | None = None
    """Items of which the left one is better; None where they were not counted, or have no score."""
    losses: int | None = None
    ties: int | None = None
    items: list[ItemView] = field(default_factory=list)
    page: Page | None = None

    @property
    def tells_items(self) -> bool:
        """Whether counts of items may be told: with one's own entries on both sides, those of a
        hidden split would tell what is right."""
        return self.left.submission.split.is_public

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        if self.p is None:
            large = self.left.submission.split.item_count > COUNTED
            return (
                "No paired test of these two was made: only those that lead a table are tested."
                if large
                else "These two cannot be compared image by image."
            )
        sure = "The difference is significant" if self.p <= 0.05 else "The difference is within the noise"  # fmt: skip
        bound = next((b for b in (0.001, 0.01, 0.05) if self.p < b), None)
        p = f"p < {bound}" if bound else "p ≥ 0.05"
        if self.tells_items and bound != 0.001:
            p = f"p = {self.p:.3f}"
        return f"{sure} ({p}, paired randomisation test over images)."


def compare(left_id: UUID, right_id: UUID, number: str | int = 1) -> Comparison:
    """Two public entries: the difference with its interval, a paired test, and item by item where the
    split is public. Of a hidden split only totals are given.

    Raises:
        NotFound: one of them is not there, or they are of different splits.
    """
    left, right = entry_detail(left_id), entry_detail(right_id)
    split = left.submission.split
    if right.submission.split_id != split.pk:
        raise errors.NOT_COMPARABLE("These entries are of different splits.")
    if split.item_count > COUNTED:
        return _compared_as_kept(left, right, number)
    a, b = _ranking_score(left.submission), _ranking_score(right.submission)
    units = split.units()
    mine, theirs = (score.by_unit(units) if score else None for score in (a, b))
    if a is None or b is None or mine is None or theirs is None or mine.shape != theirs.shape:
        return Comparison(left, right)
    metric, of_a, of_b = split.benchmark.ranked_by, a.items(), b.items()
    wins = losses = ties = None
    if of_a is None or of_b is None:
        spread = spread_of_contributions(mine - theirs, a.value - b.value)
    else:
        spread = spread_of_mean(of_a - of_b, units)
        gains = of_a - of_b if metric.higher_is_better else of_b - of_a
        wins, losses, ties = (int(x.sum()) for x in (gains > 0, gains < 0, gains == 0))
    found = disclosure.interval(split, metric, difference_interval(spread))
    if not split.is_public:  # each end tells how many items differ
        coarse = disclosure.coarse(split.item_count)
        found = replace(found, low=disclosure.rounded(found.low, coarse), high=disclosure.rounded(found.high, coarse))  # fmt: skip
    page, views = (
        items_page([left.submission, right.submission], number) if split.is_public else (None, [])
    )
    return Comparison(
        left, right, Cell(metric, found.value, found.low, found.high), paired_p(mine, theirs),
        wins, losses, ties, views, page,
    )  # fmt: skip


def _compared_as_kept(left: Detail, right: Detail, number: str | int) -> Comparison:
    """The same of a split that is too large to be gone through for a page: with the test that its
    table was made with, if there is one."""
    split = left.submission.split
    metric = split.benchmark.ranked_by
    scores = [
        next((score for _, score in d.scores if score.metric == metric.slug), None)
        for d in (left, right)
    ]
    page, views = (
        items_page([left.submission, right.submission], number) if split.is_public else (None, [])
    )
    a, b = scores
    if a is None or b is None:
        return Comparison(left, right, items=views, page=page)
    p = 1.0 if a.pk == b.pk else kept_p(split, a.pk, b.pk)
    return Comparison(left, right, Cell(metric, a.value - b.value), p, items=views, page=page)
