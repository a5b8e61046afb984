"""Telling the room of prices which images are a benchmark's."""

from django.core.files.storage import default_storage

from leaderboard.models import Split
from pricing import services as pricing

AT_ONCE = 1000
"""Images of one go; the next comes with the clock."""


def splits_register(at_once: int = AT_ONCE) -> int:
    """Register images of benchmarks that are not yet, of splits whose images are here; how many files."""
    left = at_once
    splits = Split.objects.filter(benchmark__is_shown=True, retired_at=None).defer(
        "labels", "slices"
    )
    for split in splits.select_related("benchmark"):
        dataset = f"{split.benchmark.slug}/{split.name}"[:80]
        known = pricing.files_registered(dataset)
        files = split.items.order_by().values_list("image", flat=True).distinct()
        new = [file for file in files.iterator() if file not in known and "://" not in file]
        if new:
            left -= pricing.images_register(dataset=dataset, files=new[:left], read=_read)
        if left <= 0:
            break
    return at_once - left


def _read(file: str) -> bytes:
    with default_storage.open(file) as stored:
        data: bytes = stored.read()
    return data
