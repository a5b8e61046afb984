"""Making benchmarks and their splits."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from leaderboard import errors, vault
from leaderboard.models import Benchmark, BenchmarkItem, LogLine, Split
from leaderboard.scoring import Item, labels_of
from leaderboard.services.bare_images import bare
from leaderboard.services.blocks import references_keep


@dataclass(frozen=True, slots=True)
class NewItem:
    """One item of an import: what is asked, and apart from that what is right.

    Of a hidden split `prompt` and the image are shown, for a model needs them. All else may come of
    the reference, as a category that is the answer's kind does, or an id whose parity is the answer.
    It is sealed, or replaced by what gives nothing away, unless `open` says that it comes of the
    question or the image alone.
    """

    key: str
    reference: Mapping[str, Any]
    prompt: str = ""
    category: str = ""
    image: str = ""
    """Its name: items of one name share an image."""
    data: Callable[[], bytes] | None = field(default=None, compare=False)
    """The image's bytes; without, `image` is an address somewhere else."""
    extension: str = "webp"
    open: frozenset[str] = frozenset()
    """Which of "key", "category" and "image" tell nothing of the reference."""


@transaction.atomic
def benchmark_make(*, slug: str, **fields: Any) -> Benchmark:
    """A benchmark of that name; one that is there keeps what an editor changed."""
    benchmark, _ = Benchmark.objects.get_or_create(slug=slug, defaults=fields)
    return benchmark


def total_limit(items: int) -> int:
    """Submissions of a team in all to a hidden split: a fifth of its items, 10 to 100.

    N answers that are right or wrong can be found from about 2 N / log2 N totals (Lindström 1965):
    30 for 100 items. Below that the scores a team is told do not amount to the references.
    """
    return min(100, max(10, items // 5))


@transaction.atomic
def split_import(
    *, benchmark: Benchmark, name: str, items: Iterable[NewItem], is_public: bool, **limits: Any
) -> Split:
    """`split_fill` from files. Of a hidden split nothing shows that could come of a reference: ids,
    images' names and the order of rows are replaced unless the row says that they do not.

    Raises:
        InvalidInput: as `split_fill`.
        Conflict: a public split would hold items of a hidden one.
    """
    rows = list(items)
    if is_public:
        _refuse_hidden(benchmark, rows)
    else:
        where = f"{benchmark.slug}/{name}"
        closed = sorted((_closed(row, where) for row in rows), key=lambda row: row[0])
        rows = [row for _, row in closed]
    return split_fill(benchmark=benchmark, name=name, items=rows, is_public=is_public, **limits)


def _closed(row: NewItem, where: str) -> tuple[str, NewItem]:
    """A row of a hidden split as it may be shown, and its place among the others."""
    mark = vault.keyed("item ids", f"{where}/{row.key}")
    image = row.image or row.key
    if row.data and "image" not in row.open:
        image = vault.keyed("image names", f"{where}/{image}")[:20]
    elif not row.data:
        image = row.image
    key = row.key if "key" in row.open else mark[:20]
    return vault.keyed("order", mark), replace(row, key=key, image=image)


def _refuse_hidden(benchmark: Benchmark, rows: list[NewItem]) -> None:
    mine = {(row.prompt, row.image) for row in rows if row.image}
    hidden = BenchmarkItem.objects.filter(split__benchmark=benchmark, split__is_public=False)
    same = mine & set(hidden.exclude(image="").values_list("prompt", "image"))
    marks = {
        vault.keyed("item ids", f"{benchmark.slug}/{split}/{row.key}")[:20]
        for split in benchmark.splits.filter(is_public=False).values_list("name", flat=True)
        for row in rows
    }
    keys = ({row.key for row in rows} | marks) & set(hidden.values_list("key", flat=True))
    if same or keys:
        raise errors.SPLIT_VISIBILITY(
            f"{max(len(same), len(keys))} of these items are in a hidden split of {benchmark.slug}: "
            "a public one would tell their references.",
            hint="`manage.py benchmarks publish` is the way to do that.",
        )


@transaction.atomic
def split_fill(
    *, benchmark: Benchmark, name: str, items: Iterable[NewItem], is_public: bool,
    ranks: bool = False, daily_limit: int | None = None, total_limit: int | None = None,
    folder: str = "",
) -> Split:  # fmt: skip
    """Make a split and its items, and seal its references; the same items again change nothing. Ids,
    images' names and their order are shown as they are given.

    Raises:
        InvalidInput: no items, one key twice, or a split that has other items and scores already.
        Conflict: the split is there, and hidden where this is public or the other way round.
    """
    rows = list(items)
    keys = {row.key for row in rows}
    if not rows or len(keys) < len(rows):
        raise errors.BAD_ITEMS("A split needs items, each with an id of its own.")
    sealed = [Item(r.key, r.reference, r.category, r.image) for r in rows]
    split, is_new = Split.objects.get_or_create(
        benchmark=benchmark, name=name,
        defaults={"is_public": is_public, "ranks": ranks, "daily_limit": daily_limit,
                  "total_limit": total_limit},
    )  # fmt: skip
    if split.is_public != is_public:
        raise errors.SPLIT_VISIBILITY(
            f"{benchmark.slug}/{name} is {'public' if split.is_public else 'hidden'}.",
            hint="Import them as a new split.",
        )
    hash_key = vault.hash_key(split)
    digest = vault.fingerprint(split, sealed, hash_key)
    if split.data_hash == digest:
        return split
    if not is_new and split.submissions.exists():
        raise errors.SPLIT_IN_USE(
            f"{benchmark.slug}/{name} has submissions: other items would make their scores false."
        )
    split.items.all().delete()
    split.data_hash, split.item_count, split.labels = digest, len(rows), sorted(labels_of(sealed))
    split.slices = dict(Counter(row.category for row in rows if row.category))
    split.save()
    folder = folder or f"benchmarks/{benchmark.slug}/{name}"
    BenchmarkItem.objects.bulk_create(
        [
            BenchmarkItem(
                split=split, key=row.key, position=position, prompt=row.prompt,
                category=row.category if is_public or "category" in row.open else "",
                image=_kept(folder, row, is_public=is_public) if row.data else row.image,
            )
            for position, row in enumerate(rows)
        ],
        batch_size=2000,
    )  # fmt: skip
    vault.seal(split, sealed, hash_key=hash_key)
    references_keep(split, sealed)
    LogLine.objects.create(
        benchmark=benchmark, actor="import", action="split",
        text=f"{name}: {len(rows)} items, data {digest[:12]}",
    )  # fmt: skip
    return split


def _kept(folder: str, row: NewItem, *, is_public: bool) -> str:
    """The image's name in the media storage, written once; of a hidden split its pixels alone."""
    assert row.data is not None
    data, extension = row.data(), row.extension
    if not is_public:
        data, extension = bare(data, extension)
    name = f"{folder}/{row.image or row.key}.{extension}"
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(data))
    return name
