"""What a comparison shows."""

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Q

from inference import selectors as inference
from inference.adapters import Asker
from inference.models import Job, StoredImage
from inference.spreadsheets import csv_text
from leaderboard import selectors as leaderboard
from playground import errors, selectors
from playground.models import Comparison, Preference, Share
from playground.sessions import selectors as sessions
from playground.sessions.selectors import RunView
from playground.sessions.visitor import Visitor
from pricing import selectors as pricing

_WORDS = re.compile(r"\S+\s*")
_TIMES = ("queue_ms", "encode_ms", "first_token_ms", "decode_ms", "total_ms")


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be compared."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an answer beside the first one: "same", "added" or "removed"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the time, in hundredths of the slowest answer's."""

    kind: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Column:
    """One model's answer."""

    number: int
    view: RunView
    label: str
    """The model's name, or a letter while names are hidden."""
    pieces: list[Piece]
    """The difference from the first column; empty there, and for boxes and points."""
    bars: list[Bar]
    scores: list[leaderboard.TextScore]
    cost: pricing.Cost | None = None
    """Of an image by its model and skill; None where its machine or its speed is not known."""

    @property
    def attention(self) -> dict[str, Any] | None:
        """Where each token of the answer looked, if that was asked for (`inference.engine.attention`)."""
        found: dict[str, Any] | None = (self.view.job.result or {}).get("attention")
        return found

    @property
    def attention_id(self) -> str:
        return f"attention-{self.number}"

    @property
    def is_same(self) -> bool:
        """Whether it answers in the first one's words."""
        return bool(self.pieces) and all(piece.kind == "same" for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A comparison with its columns, in the order in which models were named."""

    comparison: Comparison
    columns: list[Column]

    @property
    def first(self) -> RunView:
        return self.columns[0].view

    @property
    def is_running(self) -> bool:
        return any(column.view.is_running for column in self.columns)

    @property
    def is_hidden(self) -> bool:
        """Whether the models' names are not shown yet."""
        return self.comparison.is_hidden

    @property
    def can_prefer(self) -> bool:
        """Whether it can be said which answer is better."""
        done = all(column.view.job.status == Job.Status.SUCCEEDED for column in self.columns)
        return self.is_hidden and done and len(self.columns) > 1

    @property
    def is_drawn(self) -> bool:
        """Whether answers are places in the image."""
        return self.first.job.skill in ("detect", "point")

    def rows(self) -> list[dict[str, Any]]:
        """As data, for those who take it away."""
        return [
            {
                "model": c.view.job.model_name, "revision": c.view.run.revision, "precision": c.view.run.precision,
                "skill": c.view.job.skill, "prompt": c.view.prompt, "status": c.view.job.status,
                "answer": c.view.answer, "result": c.view.job.result, "confidence": c.view.job.confidence,
                "timings": c.view.job.timings, "tokens": c.view.job.tokens,
                "dollars_an_image": c.cost.dollars if c.cost else None,
                "reference": self.comparison.reference, "scores": {s.name: s.value for s in c.scores},
            }
            for c in self.columns
        ]  # fmt: skip

    def csv(self) -> str:
        """The same as a table; what a spreadsheet would take for a formula is text there."""
        names = ("model", "revision", "precision", "skill", "prompt", "answer", "confidence")
        scores = [s.name for s in self.columns[0].scores]
        rows = (
            [*(row[n] for n in names), *(row["timings"].get(n) for n in _TIMES), *(row["scores"].get(n) for n in scores)]
            for row in self.rows()
        )  # fmt: skip
        return csv_text([*names, *_TIMES, *scores], rows)


def choices(asker: Asker) -> list[Choice]:
    """Models to choose from: variants, then tuned ones."""
    plain = [Choice(v.slug, f"{v.name} · {v.precision}") for v in inference.variants_available()]
    tuned = selectors.tuned_models(asker)
    return plain + [Choice(model.name, f"{model.title} · {model.group.lower()}") for model in tuned]


@dataclass(frozen=True, slots=True)
class Pair:
    """What was preferred of two models."""

    left: str
    right: str
    left_count: int
    right_count: int
    ties: int
    share: float
    """Of the left one; a tie is a half for each."""
    low: float
    high: float
    """The share's 95% interval."""

    @property
    def total(self) -> int:
        return self.left_count + self.right_count + self.ties


def pairs() -> list[Pair]:
    """Every two variants of which one was preferred unseen, those with most answers first; one query."""
    outcome = Preference.Outcome
    rows = (
        Preference.objects.order_by().values("left", "right").annotate(
            left_count=Count("pk", filter=Q(outcome=outcome.LEFT)),
            right_count=Count("pk", filter=Q(outcome=outcome.RIGHT)),
            ties=Count("pk", filter=Q(outcome=outcome.TIE)), total=Count("pk"),
        )
    ).order_by("-total", "left", "right")  # fmt: skip
    found = []
    for row in rows:
        share = (row["left_count"] + row["ties"] / 2) / row["total"]
        low, high = leaderboard.share_interval(share, row["total"])
        counts = row["left_count"], row["right_count"], row["ties"]
        found.append(Pair(row["left"], row["right"], *counts, share, low, high))
    return found


@dataclass(frozen=True, slots=True)
class GridRow:
    """One image, and what each model answered about it; None where its run was deleted."""

    comparison: Comparison
    cells: list[RunView | None]

    @property
    def first(self) -> RunView:
        return next(cell for cell in self.cells if cell is not None)

    def same_as_first(self, view: RunView | None) -> bool | None:
        """Whether an answer is the first model's; None where there are not two texts."""
        first = self.cells[0]
        if view is None or first is None or view is first or not (view.text and first.text):
            return None
        return _WORDS.findall(view.text) == _WORDS.findall(first.text)

    @property
    def marked(self) -> list[tuple[RunView | None, bool | None]]:
        """The cells, each with whether it is the first one's answer."""
        return [(cell, self.same_as_first(cell)) for cell in self.cells]


@dataclass(frozen=True, slots=True)
class GridSummary:
    """What one model did over all images of a grid."""

    model: str
    answered: int
    mean_ms: float | None
    """Of an answer, its turn having come."""
    mean_confidence: float | None
    same_share: float | None
    """Of images about which it says what the first model says; None of the first, and of places."""


@dataclass(frozen=True, slots=True)
class GridView:
    """The same question about several images, to several models."""

    group: Comparison
    models: list[str]
    rows: list[GridRow]

    @property
    def first(self) -> RunView:
        return self.rows[0].first

    @property
    def is_running(self) -> bool:
        return any(cell is not None and cell.is_running for row in self.rows for cell in row.cells)

    @property
    def summaries(self) -> list[GridSummary]:
        """Model by model."""
        made = []
        for number, model in enumerate(self.models):
            found = [(row, row.cells[number]) for row in self.rows]
            done = [(row, c) for row, c in found if c and c.job.status == Job.Status.SUCCEEDED]
            sure = [c.job.confidence for _, c in done if c.job.confidence is not None]
            same = [s for row, c in done if (s := row.same_as_first(c)) is not None]
            made.append(
                GridSummary(
                    model, len(done), _mean([_work_ms(c.job.timings) for _, c in done]), _mean(sure), _mean(same)
                )
            )  # fmt: skip
        return made

    def data(self) -> list[dict[str, Any]]:
        """Every answer, for those who take it away."""
        return [
            {
                "image": cell.image_alt, "image_sha256": cell.job.image_sha256, "model": cell.job.model_name,
                "revision": cell.run.revision, "precision": cell.run.precision, "skill": cell.job.skill,
                "prompt": cell.prompt, "status": cell.job.status, "answer": cell.answer, "result": cell.job.result,
                "confidence": cell.job.confidence, "timings": cell.job.timings,
            }
            for row in self.rows for cell in row.cells if cell is not None
        ]  # fmt: skip

    def csv(self) -> str:
        """The same as a table; what a spreadsheet would take for a formula is text there."""
        names = ("image", "image_sha256", "model", "revision", "precision", "skill", "prompt", "status", "answer", "confidence")  # fmt: skip
        rows = (
            [*(row[n] for n in names), *(row["timings"].get(n) for n in _TIMES)]
            for row in self.data()
        )
        return csv_text([*names, *_TIMES], rows)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def own_group(visitor: Visitor, comparison_id: str) -> Comparison:
    """The first comparison of a grid of the visitor's.

    Raises:
        NotFound: no such comparison, or another's.
    """
    made = _own(visitor, comparison_id)
    if made.group_id is not None:
        raise errors.COMPARISON_NOT_FOUND()
    return made


def _own(visitor: Visitor, comparison_id: str) -> Comparison:
    made = Comparison.objects.filter(pk=comparison_id).select_related("session").first()
    if made is None or not sessions.is_own(visitor, made.session):
        raise errors.COMPARISON_NOT_FOUND()
    return made


def grid_get(visitor: Visitor, comparison_id: str) -> GridView:
    """
    Raises:
        NotFound: no such grid, or another's, or all of its runs were deleted.
    """
    return _grid(own_group(visitor, comparison_id))


def shared_grid(share: Share) -> GridView:
    """The grid that a link shows.

    Raises:
        NotFound: all of its runs were deleted.
    """
    assert share.comparison is not None
    return _grid(share.comparison)


def shared_image_of(share: Share, number: str) -> StoredImage | None:
    """The image of a link; of a grid that of a row, from 1.

    Raises:
        NotFound: it has no such row.
    """
    if not share.is_grid:
        return share.run.job.image
    rows = {str(place): row for place, row in enumerate(shared_grid(share).rows, 1)}
    if number not in rows:
        raise errors.COMPARISON_NOT_FOUND()
    return rows[number].first.job.image


def _grid(group: Comparison) -> GridView:
    parts = {c.pk: c for c in (group, *group.members.order_by("pk"))}
    views = [view for view in sessions.runs_of(group.session) if view.run.comparison_id in parts]
    models = list(dict.fromkeys(view.job.model_name for view in views))
    found = {(view.run.comparison_id, view.job.model_name): view for view in views}
    rows = [
        GridRow(part, [found.get((pk, model)) for model in models])
        for pk, part in parts.items() if any((pk, model) in found for model in models)
    ]  # fmt: skip
    if not rows:
        raise errors.COMPARISON_NOT_FOUND()
    return GridView(group, models, rows)


def shared_comparison(share: Share) -> ComparisonView:
    """The comparison that a link shows.

    Raises:
        NotFound: all of its runs were deleted.
    """
    assert share.comparison is not None
    return _view(share.comparison)


def comparison_get(visitor: Visitor, comparison_id: str) -> ComparisonView:
    """
    Raises:
        NotFound: no such comparison, or another's.
    """
    return _view(_own(visitor, comparison_id))


def answers_of(made: Comparison) -> list[RunView]:
    """A comparison's answers, in the order in which they stand.

    Raises:
        NotFound: all of them were deleted.
    """
    views = [view for view in sessions.runs_of(made.session) if view.run.comparison_id == made.pk]
    if not views:  # all of them were deleted
        raise errors.COMPARISON_NOT_FOUND()
    if made.is_blind:  # by lot, and the same each time
        views.sort(key=lambda view: hashlib.sha256(f"{made.pk} {view.run.pk}".encode()).digest())
    return views


def _view(made: Comparison) -> ComparisonView:
    views = answers_of(made)
    slowest = max(_work_ms(view.job.timings) for view in views)
    skill = views[0].job.skill
    known = {} if made.is_hidden else {c.variant.pk: c for c in pricing.costs_now((skill,))}
    columns = [
        replace(_column(number, view, views[0], made, slowest), cost=known.get(view.job.variant_id))
        for number, view in enumerate(views, 1)
    ]
    return ComparisonView(made, columns)


def _column(number: int, view: RunView, first: RunView, made: Comparison, slowest: float) -> Column:
    label = f"Model {chr(64 + number)}" if made.is_hidden else view.job.model_name
    is_text = view.text is not None and view.job.status == Job.Status.SUCCEEDED
    pieces = (
        difference(first.text, view.text or "") if number > 1 and is_text and first.text else []
    )
    scores = (
        leaderboard.text_scores(view.job.skill, view.text or "", made.reference) if is_text else []
    )
    return Column(number, view, label, pieces, _bars(view.job.timings, slowest), scores)


def difference(before: str | None, after: str) -> list[Piece]:
    """How to make one text of another, by words."""
    a, b = _WORDS.findall(before or ""), _WORDS.findall(after)
    pieces = []
    bare_a, bare_b = ([word.strip() for word in words] for words in (a, b))
    matcher = difflib.SequenceMatcher(None, bare_a, bare_b, autojunk=False)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", "".join(b[b0:b1])))
            continue
        if a1 > a0:
            pieces.append(Piece("removed", "".join(a[a0:a1])))
        if b1 > b0:
            pieces.append(Piece("added", "".join(b[b0:b1])))
    return pieces


def _work_ms(timings: dict[str, float]) -> float:
    """What an answer took once its turn had come."""
    return max(0.0, timings.get("total_ms", 0) - timings.get("queue_ms", 0))


def _bars(timings: dict[str, float], slowest: float) -> list[Bar]:
    """The parts of an answer's time one after the other, without waiting for its turn, which is not the
    model's doing. The first token's is counted from the start, so the image's is taken off."""
    work = _work_ms(timings)
    if not slowest or not work:
        return []
    encode = min(timings.get("encode_ms", 0), work)
    first = max(0, min(timings.get("first_token_ms", 0), work) - encode)
    bars, start = [], 0.0
    for kind, width in (("encode", encode), ("first", first), ("decode", work - encode - first)):
        bars.append(Bar(kind, round(100 * start / slowest, 2), round(100 * width / slowest, 2)))
        start += width
    return bars
