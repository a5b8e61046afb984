"""References and predictions of public splits, read a block at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from inference.errors import DomainError
from leaderboard import errors
from leaderboard.models import BenchmarkItem, PredictionBlock, ReferenceBlock, Split, Submission
from leaderboard.models.blocks import SIZE


@dataclass(frozen=True, slots=True)
class Reference:
    """What is right about an item of a public split."""

    image: str
    """The name of its image: items of one name are about the same."""
    reference: Mapping[str, Any]


def references_at(split: Split, positions: Iterable[int]) -> dict[int, Reference]:
    """References of a public split's items by their positions; empty while a worker lays them out,
    and of a hidden split always. One query, of the blocks that hold them."""
    wanted = set(positions)
    blocks = ReferenceBlock.objects.filter(
        split=split, split__is_public=True, number__in={p // SIZE for p in wanted}
    )
    found = {block.number: block.rows() for block in blocks}
    return {
        p: Reference(*found[p // SIZE][p % SIZE])
        for p in wanted
        if p // SIZE in found and p < split.item_count
    }


def said_at(
    submissions: Sequence[Submission], positions: Iterable[int]
) -> dict[UUID, dict[int, str]]:
    """What submissions to a public split said of its items, in words, by their positions; one query."""
    wanted = set(positions)
    blocks = PredictionBlock.objects.filter(
        submission__in=[s.pk for s in submissions], submission__split__is_public=True,
        number__in={p // SIZE for p in wanted},
    )  # fmt: skip
    said: dict[UUID, dict[int, str]] = {s.pk: {} for s in submissions}
    for block in blocks:
        rows, first = block.rows(), block.number * SIZE
        said[block.submission_id] |= {
            first + n: text for n, text in enumerate(rows) if first + n in wanted
        }
    return said


def preparing() -> DomainError:
    """What is asked for has not been laid out by a worker yet."""
    return errors.REFERENCES_PREPARING()


def references_check(split: Split) -> None:
    """
    Raises:
        Busy: a worker has not laid them out yet.
    """
    if split.item_count and not references_at(split, [split.item_count - 1]):
        raise preparing()


def with_references(split: Split) -> Iterator[tuple[BenchmarkItem, Reference | None]]:
    """Every item of a split in order, of a public one with its reference, a few blocks at a time."""
    step = 10 * SIZE
    for start in range(0, split.item_count, step):
        known = references_at(split, range(start, start + step)) if split.is_public else {}
        items = split.items.filter(position__gte=start, position__lt=start + step)
        for item in items.order_by("position"):
            yield item, known.get(item.position)
