"""Public splits as data to tune on (`inference.tuning.sources`). Hidden ones are never among them."""

import io
import mimetypes
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import OuterRef, QuerySet, Subquery
from PIL import Image, ImageOps

from inference.engine.metrics.regions import CORNERS
from inference.engine.tuning.examples import LENGTHS, Example, ExampleError
from inference.tuning import errors as tuning_errors
from inference.tuning.sources import (
    Chosen,
    Examples,
    Picture,
    known_fields,
    parted,
    register,
    wrong,
)
from inference.tuning.who import Who
from leaderboard import errors
from leaderboard.models import BenchmarkItem, Split
from leaderboard.selectors.blocks import references_check, with_references

MOST_ITEMS = 5000


def splits() -> list[Split]:
    """Public splits of leaderboards that are shown, whose images are here."""
    return list(_here().order_by("benchmark__title", "name"))


def _here() -> QuerySet[Split]:
    """Public splits whose first item's image is a file of this server's."""
    first = BenchmarkItem.objects.filter(split=OuterRef("pk")).values("image")[:1]
    shown = Split.objects.filter(is_public=True, benchmark__is_shown=True)
    with_image = shown.annotate(first_image=Subquery(first)).exclude(first_image=None)
    return with_image.exclude(first_image__startswith="http").select_related("benchmark")


class PublicSplit:
    """Items of a benchmark's public split with their references."""

    slug = "benchmark"
    title = "A benchmark's public split"

    def choose(self, data: Mapping[str, Any], who: Who) -> Chosen:
        known_fields(data, "benchmark", "split")
        split = _split(data)
        if not _here().filter(pk=split.pk).exists():
            raise wrong("split", "has no images on this server")
        references_check(split)
        kept = {"source": self.slug, "benchmark": split.benchmark.slug, "split": split.name}
        return Chosen(kept, (split.benchmark.rules.skill,), has_targets=True, has_references=True)

    def examples(self, data: Mapping[str, Any], folder: Path) -> Examples:
        split = _split(data)
        references_check(split)
        made: list[Example] = []
        for item, reference in with_references(split):
            if reference is not None and len(made) < MOST_ITEMS:
                example = _example(split, item, reference.reference)
                made += [example] if example else []
        return parted(made)

    def picture(self, data: Mapping[str, Any], image_key: str) -> Picture:
        name = image_key.removeprefix("media:")
        kind = mimetypes.guess_type(name)[0] or ""
        is_shown = kind.startswith("image/") and kind != "image/svg+xml"
        if not is_shown or not _split(data).items.filter(image=name).exists():
            raise tuning_errors.TUNING_IMAGE_NOT_FOUND()
        try:
            with default_storage.open(name) as file:
                return Picture(file.read(), kind)
        except FileNotFoundError as error:
            raise tuning_errors.TUNING_IMAGE_NOT_FOUND() from error


def _split(data: Mapping[str, Any]) -> Split:
    """
    Raises:
        NotFound: there is no such public split.
    """
    named = {name: str(data.get(name, "")).replace("\x00", "") for name in ("benchmark", "split")}
    found = Split.objects.select_related("benchmark").filter(
        benchmark__slug=named["benchmark"], name=named["split"],
        is_public=True, benchmark__is_shown=True,
    )  # fmt: skip
    split = found.first()
    if split is None:
        raise errors.SPLIT_NOT_FOUND("There is no such public split.", field="data.split")
    return split


def _example(split: Split, item: BenchmarkItem, reference: Mapping[str, Any]) -> Example | None:
    """An item as it is asked; None for one that no model here can be asked."""
    skill = split.benchmark.rules.skill
    asked = item.prompt or split.benchmark.prompt
    if skill == "caption" and asked not in LENGTHS:
        asked = "normal"
    name = {"query": "question", "caption": "length"}.get(skill, "object")
    try:
        return Example(
            skill, {name: asked}, partial(_open, item.image), f"media:{item.image}",
            reference=reference, target=_target(skill, reference),
        )  # fmt: skip
    except ExampleError:
        return None


def _open(name: str) -> Image.Image:
    with default_storage.open(name) as file, Image.open(io.BytesIO(file.read())) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _target(skill: str, reference: Mapping[str, Any]) -> dict[str, Any] | None:
    """What supervised tuning teaches, of a reference of the benchmarks' forms."""
    if skill == "caption":
        return {"caption": reference["captions"][0]}
    if skill == "query":
        answers = reference.get("answers") or [reference.get("answer", reference.get("count"))]
        return {"answer": str(max(answers, key=answers.count))}
    boxes = [region["box"] for region in reference.get("objects", ()) if "box" in region]
    within = [[min(1.0, max(0.0, value)) for value in box] for box in boxes]
    return {"boxes": [dict(zip(CORNERS, box, strict=True)) for box in within]}


register(PublicSplit())
