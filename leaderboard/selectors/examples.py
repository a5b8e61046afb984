"""Some items of a public split, with what is right and what our own variants said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leaderboard import errors
from leaderboard.models import Benchmark, BenchmarkItem, Run, RunAnswer, Split
from leaderboard.selectors.blocks import references_at
from leaderboard.selectors.items import image_url


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a public split."""

    item: BenchmarkItem
    image_url: str
    reference: Mapping[str, Any]
    answers: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """A variant's name and its answer, as a line of predictions has it."""


def public_benchmarks() -> list[Benchmark]:
    """Those with items whose references anybody may read; one query."""
    return list(Benchmark.objects.filter(is_shown=True, splits__is_public=True).distinct())


def examples(slug: str, most: int = 8) -> list[Example]:
    """Items spread over a benchmark's public split, with the newest run of each variant.

    Raises:
        NotFound: there is no such benchmark, or none of its splits is public.
    """
    split = (
        Split.objects.select_related("benchmark")
        .filter(benchmark__slug=slug, benchmark__is_shown=True, is_public=True)
        .first()
    )
    if split is None:
        raise errors.SPLIT_NOT_FOUND("There is no such public split.")
    most = min(most, split.item_count)
    places = {n * split.item_count // most for n in range(most)}
    items = list(split.items.filter(position__in=places).order_by("position"))
    references = references_at(split, places)
    answers = _answers(split, [item.key for item in items])
    return [
        Example(
            item, image_url(item), references[item.position].reference, answers.get(item.key, [])
        )
        for item in items
        if item.position in references  # otherwise a worker is about to lay them out
    ]


def _answers(split: Split, keys: list[str]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    runs = (
        Run.objects.filter(split=split).exclude(status=Run.Status.FAILED)
        .order_by("variant_id", "-started_at").distinct("variant_id")
    )  # fmt: skip
    names = dict(runs.values_list("pk", "variant__name"))
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for answer in RunAnswer.objects.filter(run__in=names, key__in=keys).order_by("run_id"):
        found.setdefault(answer.key, []).append((names[answer.run_id], answer.prediction))
    return found
