"""Where a run's examples come from. Higher rooms add sources of theirs (`register`)."""

import functools
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from inference.engine.tuning.examples import Example
from inference.errors import DomainError
from inference.tuning import errors
from inference.tuning.who import Who
from inference.world.presets import (
    PRESETS,
    UnknownPresetError,
    preset_get,
    skill_examples,
    world_examples,
    world_image,
)

MOST_EXAMPLES = 20_000
REHEARSED = 512
"""Questions of other skills that are kept in mind."""
HELD_OUT = 60
"""Examples that are measured before and after; of a small set a tenth."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice of data that can be used."""

    data: dict[str, Any]
    """As the run keeps it."""
    skills: tuple[str, ...]
    has_targets: bool
    """Every example says what is right, so that it can be taught."""
    has_references: bool
    text_only: bool = False
    """Some examples have no image."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What a run is trained on, and what it is measured on before and after."""

    training: list[Example]
    held_out: list[Example]


def parted(examples: list[Example]) -> Examples:
    """A tenth is held out, the same each time; of few examples nothing is."""
    count = min(HELD_OUT, len(examples) // 10)
    if count < 5:
        return Examples(examples, [])
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    held = set(order[:count])
    return Examples(
        [e for n, e in enumerate(examples) if n not in held], [examples[n] for n in sorted(held)]
    )


@functools.lru_cache(maxsize=1)
def _rehearsed(preset: str, domain: str) -> list[Example]:
    return skill_examples(REHEARSED, seed=0, without=(preset, domain))


def rehearsed(data: Mapping[str, Any]) -> list[Example]:
    """Questions of other skills than what was chosen: drawn scenes, on which the base's answers are kept."""
    return _rehearsed(str(data.get("preset", "")), str(data.get("domain", "")))


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file."""

    data: bytes
    kind: str
    """Its media type."""


class Source(Protocol):
    """One kind of data."""

    slug: str
    title: str

    def choose(self, data: Mapping[str, Any], who: Who) -> Chosen:
        """Judge a choice before anything is queued.

        Raises:
            InvalidInput, NotFound: it cannot be used, with the field that is wrong.
        """

    def examples(self, data: Mapping[str, Any], folder: Path) -> Examples:
        """The examples of a choice, in a worker.

        Args:
            folder: for files that are needed while the run is worked on.

        Raises:
            DomainError: what was chosen is gone, or cannot be read.
        """

    def picture(self, data: Mapping[str, Any], image_key: str) -> Picture:
        """The image of an example, for pages; whoever asks may see the data.

        Raises:
            NotFound: the data is gone, or has no such image.
        """


_SOURCES: dict[str, Source] = {}


def register(source: Source) -> None:
    """Add a source."""
    _SOURCES[source.slug] = source


def sources() -> list[Source]:
    """All there are."""
    return list(_SOURCES.values())


def source_of(data: Any) -> Source:
    """The source that a choice names.

    Raises:
        InvalidInput: there is none.
    """
    slug = data.get("source") if isinstance(data, Mapping) else None
    source = _SOURCES.get(slug) if isinstance(slug, str) else None
    if source is None:
        raise wrong("source", f"must be one of {', '.join(_SOURCES)}")
    return source


def wrong(field: str, text: str) -> DomainError:
    """What a choice is refused with; the field is of the data."""
    return errors.BAD_FINETUNE(
        f"data.{field} {text}.", fields=[{"field": f"data.{field}", "problem": text}]
    )


def whole_number(data: Mapping[str, Any], field: str, low: int, high: int, default: int) -> int:
    """A number of a choice.

    Raises:
        InvalidInput: it is none, or out of range.
    """
    value = data.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(field, f"must be {low} to {high}")
    return value


def known_fields(data: Mapping[str, Any], *names: str) -> None:
    """
    Raises:
        InvalidInput: a choice has other fields than these.
    """
    for name in data:
        if name not in ("source", *names):
            raise wrong(str(name)[:40], "is not known")


class World:
    """Drawn scenes of a preset."""

    slug = "world"
    title = "Drawn scenes"

    def choose(self, data: Mapping[str, Any], who: Who) -> Chosen:
        known_fields(data, "preset", "domain", "count", "seed")
        slug, domain = str(data.get("preset")), str(data.get("domain", "shapes"))
        try:
            preset = preset_get(slug, domain)
        except UnknownPresetError as error:
            field = "domain" if slug in PRESETS else "preset"
            raise wrong(field, str(error).removesuffix(".")) from error
        kept = {
            "source": self.slug, "preset": preset.slug, "domain": domain,
            "count": whole_number(data, "count", 1, MOST_EXAMPLES, 400),
            "seed": whole_number(data, "seed", 0, 2**31 - 1, 0),
        }  # fmt: skip
        return Chosen(kept, (preset.skill,), has_targets=True, has_references=True)

    def examples(self, data: Mapping[str, Any], folder: Path) -> Examples:
        drawn = {"seed": data["seed"], "domain": data["domain"]}
        return Examples(
            world_examples(data["preset"], data["count"], **drawn),
            world_examples(data["preset"], HELD_OUT, **drawn, held_out=True),
        )

    def picture(self, data: Mapping[str, Any], image_key: str) -> Picture:
        file = io.BytesIO()
        try:
            world_image(image_key).save(file, "WEBP", quality=90)
        except ValueError as error:
            raise errors.TUNING_IMAGE_NOT_FOUND() from error
        return Picture(file.getvalue(), "image/webp")


register(World())
