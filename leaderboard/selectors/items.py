"""Items of a split with what was said about them, and two submissions side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from django.core.files.storage import default_storage, storages
from django.core.paginator import Page, Paginator

from inference.errors import NotFound
from leaderboard import vault
from leaderboard.metrics.statistics import bootstrap, paired_p, sums_by_unit
from leaderboard.models import BenchmarkItem, Submission
from leaderboard.scoring import read_predictions
from leaderboard.selectors.details import Detail, entry_detail
from leaderboard.selectors.tables import Cell


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


def _said(value: Any) -> str:
    """A prediction or reference in words."""
    if isinstance(value, list):
        return f"{len(value)} {'place' if len(value) == 1 else 'places'}"
    return str(value)


def right(reference: Mapping[str, Any]) -> str:
    """A reference in words."""
    if "captions" in reference:
        return " / ".join(reference["captions"])
    if "answers" in reference:
        return ", ".join(dict.fromkeys(reference["answers"]))
    if "objects" in reference:
        return _said(reference["objects"])
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
        raise NotFound("Items of a hidden split are not shown.", code="split_hidden")
    page = Paginator(split.items.order_by("position"), size).get_page(number)
    references = {item.key: item.reference for item in vault.unseal(split)}
    said = [_predictions(s, set(references)) for s in submissions]
    scores = [_item_scores(s) for s in submissions]
    views = [
        ItemView(
            item, image_url(item), [_said(p.get(item.key, "—")) for p in said],
            [float(s[item.position]) if s is not None else None for s in scores],
            right(references[item.key]), f"{split.benchmark.slug}/{split.name}/{item.key}",
        )
        for item in page.object_list
    ]  # fmt: skip
    return page, views


def _predictions(submission: Submission, keys: set[str]) -> dict[str, Any]:
    with storages["private"].open(submission.file) as file:
        rules = submission.split.benchmark.rules
        return read_predictions(rules, keys, file, stored=True).predictions


def _item_scores(submission: Submission) -> np.ndarray | None:
    slug = submission.split.benchmark.ranked_by.slug
    score = submission.scores.filter(is_current=True, metric=slug).first()
    return score.items() if score else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries on the same split, by the metric that ranks."""

    left: Detail
    right: Detail
    difference: Cell | None = None
    p: float | None = None
    wins: int = 0
    losses: int = 0
    ties: int = 0
    items: list[ItemView] = field(default_factory=list)
    page: Page | None = None

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        if self.p is None:
            return "These two cannot be compared item by item."
        sure = "The difference is significant" if self.p <= 0.05 else "The difference is within the noise"  # fmt: skip
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
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
        raise NotFound("These entries are of different splits.", code="not_comparable")
    a, b = _item_scores(left.submission), _item_scores(right.submission)
    if a is None or b is None or a.shape != b.shape:
        return Comparison(left, right)
    units = split.units()
    sums = [sums_by_unit(x[:, None], units)[:, 0] for x in (a, b)]
    spread = bootstrap(a - b, clusters=units)
    page, views = (
        items_page([left.submission, right.submission], number) if split.is_public else (None, [])
    )
    return Comparison(
        left, right, Cell(split.benchmark.ranked_by, spread.value, spread.low, spread.high),
        paired_p(*sums), int((a > b).sum()), int((a < b).sum()), int((a == b).sum()), views, page,
    )  # fmt: skip
