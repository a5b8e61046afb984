"""Prompts to repeat a result with: curated ones, and the items of public splits as they are asked.

Items of hidden splits are never among them, and a reference is read only to be set beside an answer.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from django.core.files.storage import default_storage
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet

from inference import images
from leaderboard import errors
from leaderboard.models import Benchmark, BenchmarkItem, BenchmarkPrompt, ReportedFigure, Split
from leaderboard.scoring import TASKS, Item
from leaderboard.selectors.blocks import preparing, references_at
from leaderboard.selectors.items import image_url, right
from leaderboard.selectors.tables import Cell

PAGE = 20
PLACE = re.compile(r"\{(question|object)\}")
ANSWERS = {"caption": "caption", "query": "answer", "detect": "objects", "point": "points"}
"""By skill: the name of what a result and a line of predictions hold."""
_ALONE = {"cider_d": "rouge_l"}
"""Metrics that need the whole split, and what one item is compared by instead."""


@dataclass(frozen=True)
class Prompt:
    """A prompt to try: a curated one, or an item."""

    curated: BenchmarkPrompt | None = None
    item: BenchmarkItem | None = None

    @cached_property
    def benchmark(self) -> Benchmark | None:
        """Its leaderboard here, if there is one."""
        if self.item is not None:
            return self.item.split.benchmark
        return self.curated.benchmark if self.curated else None

    @property
    def ref(self) -> str:
        """Its name in addresses: "12", or "world-vqa/dev/<key>" of an item."""
        if self.item is not None:
            return f"{self.item.split.benchmark.slug}/{self.item.split.name}/{self.item.key}"
        return str(self.curated.pk) if self.curated else ""

    @property
    def query(self) -> str:
        """The same as part of a query string."""
        return f"prompt={quote(self.ref, safe='/')}"

    @property
    def group(self) -> str:
        if self.curated is not None:
            return self.curated.title
        return self.benchmark.title if self.benchmark else ""

    @property
    def skill(self) -> str:
        if self.curated is not None:
            return self.curated.skill
        return self.benchmark.rules.skill if self.benchmark else ""

    @property
    def text(self) -> str:
        if self.curated is not None:
            return self.curated.text
        assert self.item is not None
        return self.item.prompt or self.item.split.benchmark.prompt

    @property
    def label(self) -> str:
        """One line of a list; items say which they are, for many ask the same."""
        words = f"{self.text.capitalize()} caption" if self.skill == "caption" else self.text
        words = " ".join(words.split())
        if self.item is None:
            return words
        return f"{words} · {self.item.category or 'item'} {self.item.position + 1}"

    @property
    def place(self) -> str:
        """The placeholder that the visitor replaces: "{question}", "{object}" or nothing."""
        found = PLACE.search(self.text) if self.curated else None
        return found.group() if found else ""

    @property
    def figure(self) -> ReportedFigure | None:
        """The published figure that was measured with it."""
        return self.curated.figure if self.curated else None

    @property
    def has_image(self) -> bool:
        """Whether this site holds the item's image; others' are only linked to."""
        return self.item is not None and not self.item.image.startswith("http")

    @property
    def image_url(self) -> str:
        return image_url(self.item) if self.item is not None else ""


def _items() -> QuerySet[BenchmarkItem]:
    """What may be shown: of public splits, of leaderboards that are shown, with something to ask."""
    return BenchmarkItem.objects.filter(
        ~Q(prompt="") | ~Q(split__benchmark__prompt=""),
        split__is_public=True, split__benchmark__is_shown=True,
    ).select_related("split__benchmark")  # fmt: skip


def _curated() -> QuerySet[BenchmarkPrompt]:
    shown = Q(benchmark__isnull=True) | Q(benchmark__is_shown=True)
    return (
        BenchmarkPrompt.objects.filter(shown, state=BenchmarkPrompt.State.APPROVED)
        .select_related("benchmark", "figure")
        .order_by("name", "benchmark__position", "pk")
    )


def prompt_get(ref: str) -> Prompt:
    """A prompt by its name in addresses.

    Raises:
        NotFound: there is none, it is not approved, or it is of a hidden split.
    """
    parts = ref.replace("\0", "").split("/", 2)
    if len(parts) == 3:
        slug, split, key = parts
        item = _items().filter(split__benchmark__slug=slug, split__name=split, key=key).first()
        if item is not None:
            return Prompt(item=item)
    elif ref.isascii() and ref.isdigit() and len(ref) < 18:
        curated = _curated().filter(pk=int(ref)).first()
        if curated is not None:
            return Prompt(curated)
    raise errors.PROMPT_NOT_FOUND()


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """A benchmark's prompts of one skill, for a menu."""

    title: str
    skill: str
    prompts: list[Prompt]


def prompt_menu(each: int = 6) -> list[PromptGroup]:
    """Every curated prompt, and some items of each public split, spread over it; three queries."""
    groups: dict[tuple[str, str], list[Prompt]] = {}
    for prompt in [*_spread(each), *map(Prompt, _curated())]:
        groups.setdefault((prompt.group, prompt.skill), []).append(prompt)
    return [PromptGroup(*key, prompts) for key, prompts in groups.items()]


def _spread(each: int) -> Iterator[Prompt]:
    """Items at even distances: read by their positions, for a split may hold very many."""
    splits = Split.objects.filter(is_public=True, benchmark__is_shown=True, item_count__gt=0)
    wanted = Q(pk__in=[])
    for pk, count in splits.values_list("pk", "item_count"):
        at = {number * count // each for number in range(each)}
        wanted |= Q(split=pk, position__in=at)
    for item in _items().filter(wanted).order_by("split__benchmark__position", "split", "position"):
        yield Prompt(item=item)


class _Both:
    """Curated prompts, then items, as one list for a paginator: two counts, and what a page shows."""

    def __init__(self, curated: QuerySet[BenchmarkPrompt], items: QuerySet[BenchmarkItem]) -> None:
        self.curated, self.items = curated, items

    @cached_property
    def _first(self) -> int:
        return self.curated.count()

    @cached_property
    def _all(self) -> int:
        return self._first + self.items.count()

    def __len__(self) -> int:
        return self._all

    def __getitem__(self, part: slice) -> list[Prompt]:
        first, last = part.start or 0, part.stop
        found = [Prompt(p) for p in self.curated[first:last]] if first < self._first else []
        rest = max(0, first - self._first), last - self._first
        if rest[1] > 0:
            found += [Prompt(item=i) for i in self.items[rest[0] : rest[1]]]
        return found


@dataclass(frozen=True, slots=True)
class PromptsAsked:
    """Which prompts a reader wants."""

    q: str = ""
    benchmark: str = ""
    """A leaderboard's slug, or the name of another benchmark."""
    skill: str = ""
    page: str = "1"

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "PromptsAsked":
        skill = query.get("skill", "")
        return cls(
            query.get("q", "").replace("\0", "").strip()[:100],
            query.get("benchmark", "").replace("\0", "")[:60],
            skill if skill in ANSWERS else "", query.get("page", "1"),
        )  # fmt: skip

    @property
    def filters(self) -> dict[str, str]:
        fields = {"q": self.q, "benchmark": self.benchmark, "skill": self.skill}
        return {name: value for name, value in fields.items() if value}


def prompts_page(asked: PromptsAsked) -> Page:
    """A page of what a reader wants; at most four queries."""
    curated, items = _curated(), _items()
    if asked.benchmark:
        curated = curated.filter(Q(benchmark__slug=asked.benchmark) | Q(name=asked.benchmark))
        items = items.filter(split__benchmark__slug=asked.benchmark)
    if asked.skill:
        tasks = [task.slug for task in TASKS.values() if task.skill == asked.skill]
        curated = curated.filter(skill=asked.skill)
        items = items.filter(split__benchmark__task__in=tasks)
    if asked.q:
        curated = curated.filter(
            Q(text__icontains=asked.q) | Q(note__icontains=asked.q) | Q(name__icontains=asked.q)
            | Q(benchmark__title__icontains=asked.q)
        )  # fmt: skip
        items = items.filter(
            Q(prompt__icontains=asked.q) | Q(category__icontains=asked.q)
            | Q(split__benchmark__title__icontains=asked.q)
        )  # fmt: skip
    items = items.order_by("split__benchmark__position", "split", "position")
    return Paginator(_Both(curated, items), PAGE).get_page(asked.page)  # type: ignore[arg-type]


def prompt_benchmarks() -> tuple[list[Benchmark], list[str]]:
    """What prompts can be of: leaderboards here, and the names of other benchmarks; two queries."""
    own = list(Benchmark.objects.filter(is_shown=True))
    names = _curated().exclude(name="").values_list("name", flat=True)
    return own, sorted(set(names), key=str.lower)


def prompts_proposed_by(user: Any, most: int = 50) -> list[BenchmarkPrompt]:
    """What somebody proposed, newest first."""
    found = BenchmarkPrompt.objects.filter(proposed_by=user).select_related("benchmark")
    return list(found.order_by("-created_at")[:most])


@dataclass(frozen=True, slots=True)
class Compared:
    """An answer beside the reference of the item it is about."""

    prompt: Prompt
    reference: str
    regions: list[dict[str, float]]
    """The reference's boxes, where it has them."""
    cell: Cell | None = None
    """How the benchmark scores this one answer; None where one alone has no score."""

    @property
    def regions_json(self) -> str:
        return json.dumps(self.regions)

    @property
    def verdict(self) -> str:
        if self.cell is None or self.cell.value is None or self.cell.metric.slug in _ALONE.values():
            return ""
        return {1.0: "Right", 0.0: "Not the reference"}.get(self.cell.value, "Partly right")


def reference_of(prompt: Prompt) -> Compared:
    """The reference of a public item alone.

    Raises:
        NotFound: the prompt is no item.
    """
    known = _known(prompt).reference
    return Compared(prompt, right(known), _boxes(known))


def reference_beside(
    prompt: Prompt, *, skill: str, asked: str, image_sha256: str, result: Mapping[str, Any]
) -> Compared:
    """The reference of a public item beside an answer to exactly what the item asks.

    Raises:
        NotFound: the prompt is no item, or another image, skill or text was asked about.
    """
    known = _known(prompt)
    same = skill == prompt.skill and asked.strip() == prompt.text.strip()
    if not same or image_sha256 != images.sha256_of(image_bytes(prompt)):
        raise errors.NOT_COMPARABLE(
            "The image or the prompt is not the item's: there is nothing to compare."
        )
    assert prompt.benchmark is not None
    task, slug = prompt.benchmark.rules, prompt.benchmark.ranked_by.slug
    slug = _ALONE.get(slug, slug)
    read = task.read({ANSWERS[skill]: result.get(ANSWERS[skill])})
    figures = next((f for slugs, f in task.score([known], [read]).items() if slug in slugs), None)
    each = figures.per_item if figures else None
    cell = None if each is None else Cell(task.metric(slug), float(each[0]))
    return Compared(prompt, right(known.reference), _boxes(known.reference), cell)


def _known(prompt: Prompt) -> Item:
    """A public item with its reference."""
    item = prompt.item
    if item is None or not item.split.is_public:
        raise errors.NO_REFERENCE()
    known = references_at(item.split, [item.position]).get(item.position)
    if known is None:
        raise preparing()
    return Item(item.key, known.reference, item.category, known.image)


def _boxes(reference: Mapping[str, Any]) -> list[dict[str, float]]:
    names = ("x_min", "y_min", "x_max", "y_max")
    return [dict(zip(names, o["box"], strict=True)) for o in reference.get("objects", [])]


def image_bytes(prompt: Prompt) -> bytes:
    """The image of an item that this site holds.

    Raises:
        NotFound: there is none, or it is somewhere else.
        Busy: the storage cannot be used.
    """
    item = prompt.item
    if item is None or not prompt.has_image:
        raise errors.NO_IMAGE()
    try:
        with default_storage.open(item.image) as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise errors.NO_IMAGE() from error
    return data
