"""Answers to try a reward on: of drawn scenes, and of the benchmarks' public splits."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.templatetags.static import static

from inference.world import DOMAINS, caption
from inference.world.language import targets
from inference.world.samples import SAMPLES, Sample, sample_answers
from leaderboard import selectors as leaderboard

SKILLS = ("caption", "query", "detect", "point")
_SCENES = "scenes-"
_TRIES = 4000
"""Wordings are drawn at random; a sample's own was among the first hundred."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, and whose it is."""

    text: str
    by: str


@dataclass(frozen=True, slots=True)
class SampleItem:
    """An image with its prompt, what is right, and what was answered."""

    key: str
    image_url: str
    alt: str
    prompt: str
    reference: Any
    answers: list[Said] = field(default_factory=list)
    sample: str = ""
    """The name of a shipped scene, by which the model can be asked about it."""


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Items of one skill."""

    slug: str
    title: str
    skill: str


def sample_sets() -> list[SampleSet]:
    """Drawn scenes by skill, then the benchmarks with a public split; one query."""
    scenes = [SampleSet(f"{_SCENES}{s}", f"Drawn scenes: {s}", s) for s in SKILLS]
    return scenes + [
        SampleSet(b.slug, f"{b.title}: public split", b.rules.skill)
        for b in leaderboard.public_benchmarks()
    ]


def sample_items(chosen: SampleSet) -> list[SampleItem]:
    """What a set holds."""
    if chosen.slug.startswith(_SCENES):
        return [item for s in SAMPLES if (item := _scene_item(s, chosen.skill)) is not None]
    return [
        SampleItem(
            example.item.key, example.image_url,
            f"Item {example.item.key}" + f", {example.item.category}" * bool(example.item.category),
            example.item.prompt, example.reference, _distinct(example.answers),
        )
        for example in leaderboard.examples(chosen.slug)
    ]  # fmt: skip


def _distinct(answers: list[tuple[str, Mapping[str, Any]]]) -> list[Said]:
    """One line for what several said alike."""
    by: dict[str, list[str]] = {}
    for name, answer in answers:
        by.setdefault(completion(answer), []).append(name)
    return [Said(text, ", ".join(names)) for text, names in by.items()]


def completion(answer: Mapping[str, Any]) -> str:
    """An answer as text: its words, or its regions as JSON without what no reference has."""
    for name in ("caption", "answer"):
        if name in answer:
            return str(answer[name])
    for name, keys in (("objects", ("x_min", "y_min", "x_max", "y_max")), ("points", ("x", "y"))):
        if isinstance(answer.get(name), list):
            rows = [{k: round(row[k], 3) for k in keys if k in row} for row in answer[name]]
            return json.dumps({name: rows})
    return json.dumps(answer)


def _scene_item(sample: Sample, skill: str) -> SampleItem | None:
    record = sample_answers()["samples"].get(sample.slug, {"answers": {}})
    given = record["answers"].get(skill)
    if given is None:
        return None
    by = sample_answers()["model"]
    answers = [Said(completion(given["result"]), by)]
    if skill == "caption":
        answers += [Said(text, f"{by}, {n}") for n, text in record.get("captions", {}).items()]
    prompt = given["prompt"] or ("normal" if skill == "caption" else "")
    return SampleItem(
        sample.slug, static(f"samples/{sample.file_name}"), sample.alt, prompt,
        _right(sample.slug, skill, prompt), answers, sample.slug,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _right(slug: str, skill: str, prompt: str) -> Any:
    """What the scene behind a sample says: it was decided before it was drawn."""
    sample = next(s for s in SAMPLES if s.slug == slug)
    scene = sample.scene()
    if skill == "caption":
        return {"captions": [caption(scene)]}
    if skill == "query":
        for seed in range(_TRIES):
            rng = random.Random(seed)
            for asker in DOMAINS[scene.domain].askers.values():
                asked = asker(scene, rng)
                if asked is not None and asked.question == prompt:
                    return {"answers": [asked.answer]}
        return None
    for seed in range(_TRIES):
        phrase, objects = targets(scene, random.Random(seed))
        if phrase == prompt:
            if skill == "point":
                return {"count": len(objects)}
            return {"objects": [{"box": [round(v, 5) for v in o.box]} for o in objects]}
    return None
