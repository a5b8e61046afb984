"""Making benchmarks and their splits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from inference.errors import InvalidInput
from leaderboard import vault
from leaderboard.models import Benchmark, BenchmarkItem, LogLine, Split
from leaderboard.scoring import Item, data_hash, labels_of
from leaderboard.services.blocks import references_keep


@dataclass(frozen=True, slots=True)
class NewItem:
    """One item of an import: what is asked, and apart from that what is right."""

    key: str
    reference: Mapping[str, Any]
    prompt: str = ""
    category: str = ""
    image: str = ""
    """Its name: items of one name share an image."""
    data: Callable[[], bytes] | None = field(default=None, compare=False)
    """The image's bytes; without, `image` is an address somewhere else."""
    extension: str = "webp"


@transaction.atomic
def benchmark_make(*, slug: str, **fields: Any) -> Benchmark:
    """A benchmark of that name; one that is there keeps what an editor changed."""
    benchmark, _ = Benchmark.objects.get_or_create(slug=slug, defaults=fields)
    return benchmark


@transaction.atomic
def split_fill(
    *, benchmark: Benchmark, name: str, items: Iterable[NewItem], is_public: bool,
    ranks: bool = False, daily_limit: int | None = None, total_limit: int | None = None,
    folder: str = "",
) -> Split:  # fmt: skip
    """Make a split and its items, and seal its references; the same items again change nothing.

    Raises:
        InvalidInput: no items, one key twice, or a split that has other items and scores already.
    """
    rows = list(items)
    keys = {row.key for row in rows}
    if not rows or len(keys) < len(rows):
        raise InvalidInput("A split needs items, each with an id of its own.", code="bad_items")
    sealed = [Item(r.key, r.reference, r.category, r.image) for r in rows]
    digest = data_hash(sealed)
    split, is_new = Split.objects.get_or_create(
        benchmark=benchmark, name=name,
        defaults={"is_public": is_public, "ranks": ranks, "daily_limit": daily_limit,
                  "total_limit": total_limit},
    )  # fmt: skip
    if split.data_hash == digest:
        return split
    if not is_new and split.submissions.exists():
        raise InvalidInput(
            f"{benchmark.slug}/{name} has submissions: other items would make their scores false.",
            code="split_in_use", hint="Import them as a new split.",
        )  # fmt: skip
    split.items.all().delete()
    split.data_hash, split.item_count, split.labels = digest, len(rows), sorted(labels_of(sealed))
    split.save()
    folder = folder or f"benchmarks/{benchmark.slug}/{name}"
    BenchmarkItem.objects.bulk_create(
        [
            BenchmarkItem(
                split=split, key=row.key, position=position, prompt=row.prompt,
                category=row.category, image=_kept(folder, row) if row.data else row.image,
            )
            for position, row in enumerate(rows)
        ],
        batch_size=2000,
    )  # fmt: skip
    vault.seal(split, sealed)
    references_keep(split, sealed)
    LogLine.objects.create(
        benchmark=benchmark, actor="import", action="split",
        text=f"{name}: {len(rows)} items, data {digest[:12]}",
    )  # fmt: skip
    return split


def _kept(folder: str, row: NewItem) -> str:
    """The image's name in the media storage, written once."""
    name = f"{folder}/{row.image or row.key}.{row.extension}"
    if not default_storage.exists(name):
        assert row.data is not None
        default_storage.save(name, ContentFile(row.data()))
    return name
