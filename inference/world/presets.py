"""Presets of the drawn world to tune on: one kind of question each, with references true by construction.

    examples = world_examples("counts", 200, seed=1)
    held_out = world_examples("counts", 120, seed=1, held_out=True)

Scenes for tuning, held-out ones, those the embedded model was trained on and those of the leaderboards
come of different seeds.
"""

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from inference.engine.metrics.counts import read_count
from inference.engine.tuning.examples import Example
from inference.world.domain import QA
from inference.world.domains import DOMAINS
from inference.world.language import caption, question, targets
from inference.world.render import render
from inference.world.scenes import Scene, WorldObject, sample_scene

Asked = tuple[dict[str, Any], Any, dict[str, Any]]
"""What is asked with, the reference, and what supervised tuning teaches."""
_KEY = re.compile(
    r"world:(?P<name>(tune|held-out:tuning):[0-9]{1,10}:(?P<domain>[a-z-]{1,20}):[0-9]{1,7})"
)
_MOST_TRIES = 50
"""Scenes in a row of which none allows the question, before a preset is given up."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of question about drawn scenes."""

    slug: str
    title: str
    about: str
    skill: str
    ask: Callable[[Scene, random.Random], Asked | None]
    """What is asked of a scene; None where it has no such question."""
    domains: tuple[str, ...] = tuple(DOMAINS)


def _answered(
    scene: Scene, rng: random.Random, *, kinds: tuple[str, ...], as_json: bool = False
) -> Asked | None:
    askers = DOMAINS[scene.domain].askers
    found = question(scene, rng.choice([k for k in kinds if k in askers]), rng)
    if found is None:
        return None
    cue = " Answer as JSON." if as_json else ""
    params: dict[str, Any] = {"question": f"{found.question}{cue}"}
    if found.point is not None:
        params["spatial_refs"] = [list(found.point)]
    answer = json.dumps({"answer": found.answer}) if as_json else found.answer
    return params, _reference(found), {"answer": answer}


def _reference(found: QA) -> Any:
    count = read_count(found.answer) if found.kind == "count" else None
    return {"answers": [found.answer]} if count is None else {"count": count}


def _described(scene: Scene, rng: random.Random, *, length: str, wanted: str = "") -> Asked:
    text = caption(scene, wanted or length)
    return {"length": length}, {"captions": [text]}, {"caption": text}


def _named(scene: Scene, rng: random.Random, *, kind: str) -> Asked | None:
    phrase, found = targets(scene, rng)
    if not found:
        return None
    boxes = [_box(item) for item in found]
    points = [{"x": round(o.centre[0], 5), "y": round(o.centre[1], 5)} for o in found]
    target = {"points": points} if kind == "point" else {"boxes": boxes}
    return {"object": phrase}, {"objects": boxes}, target


def _box(item: WorldObject) -> dict[str, float]:
    held = (round(min(1.0, max(0.0, value)), 5) for value in item.box)
    return dict(zip(("x_min", "y_min", "x_max", "y_max"), held, strict=True))


def _query(slug: str, title: str, about: str, *kinds: str, as_json: bool = False) -> Preset:
    able = tuple(n for n, domain in DOMAINS.items() if any(kind in domain.askers for kind in kinds))
    return Preset(
        slug, title, about, "query", partial(_answered, kinds=kinds, as_json=as_json), able
    )


def _caption(length: str, about: str) -> Preset:
    return Preset(
        f"captions-{length}", f"Captions, {length}", about, "caption",
        partial(_described, length=length),
    )  # fmt: skip


PRESETS: Mapping[str, Preset] = {
    preset.slug: preset
    for preset in (
        _query("counts", "Counting", "How many there are of something.", "count"),
        _query("colours", "Colours", "What colour something has.", "color"),
        _query("shapes", "Shapes", "What shape something has.", "shape"),
        _query("existence", "Existence", "Whether something is there: yes or no.", "existence"),
        _query("relations", "Relations", "Whether one thing is above, below or beside another.", "relation"),
        _query("places", "Places", "Where in the image something is.", "place"),
        _query("reading", "Reading", "What a sign says.", "reading"),
        _query("json-answers", "Answers as JSON", 'Counts and colours, with “Answer as JSON.” behind the question: {"answer": "…"}.', "count", "color", as_json=True),
        Preset("captions-shorter", "Captions, made shorter", "Asked for a normal caption, and compared with the short one.", "caption",
               partial(_described, length="normal", wanted="short")),
        _caption("short", "The fewest words that name what is there."),
        _caption("normal", "A sentence or two."),
        _caption("long", "Everything, with where it is."),
        Preset("points", "Pointing", "The centre of everything that a phrase names.", "point", partial(_named, kind="point")),
        Preset("boxes", "Detecting", "A box around everything that a phrase names.", "detect", partial(_named, kind="detect")),
    )
}  # fmt: skip


class UnknownPresetError(ValueError):
    """There is no such preset, or its question is not asked of scenes of that domain."""


def preset_get(slug: str, domain: str = "shapes") -> Preset:
    """A preset that can be asked about scenes of a domain.

    Raises:
        UnknownPresetError: there is none.
    """
    preset = PRESETS.get(slug)
    if preset is None:
        raise UnknownPresetError(
            f"There is no preset {slug[:40]!r}: use one of {', '.join(PRESETS)}."
        )
    if domain not in preset.domains:
        raise UnknownPresetError(
            f"{preset.title} has no scenes of {domain[:40]!r}: use one of {', '.join(preset.domains)}."
        )
    return preset


def world_examples(
    slug: str, count: int, *, seed: int, domain: str = "shapes", held_out: bool = False
) -> list[Example]:
    """So many examples of a preset. The same arguments give the same; images are drawn when opened.

    Args:
        held_out: scenes that no tuning draws, for a measurement before and after.

    Raises:
        UnknownPresetError: see `preset_get`.
    """
    preset = preset_get(slug, domain)
    name = f"{'held-out:tuning' if held_out else 'tune'}:{seed}:{domain}"
    return list(_examples(preset, count, name, domain))


_TUNED = ("json-answers", "captions-shorter")
"""Presets that ask for what the model does not do by itself: nothing of theirs is kept."""


def skill_examples(
    count: int, *, seed: int, without: tuple[str, str] | None = None
) -> list[Example]:
    """Examples of each skill in turn, of all presets and kinds of scenes: what is to be kept while one is
    tuned.

    Args:
        without: a preset and a domain that are left out together.
    """
    skills: dict[str, list[tuple[str, str]]] = {}
    for preset in PRESETS.values():
        asked = [(preset.slug, domain) for domain in preset.domains]
        if preset.slug not in _TUNED:
            skills.setdefault(preset.skill, []).extend(a for a in asked if a != without)
    each = -(-count // len(skills))
    made = [_in_turn(asked, each, seed) for asked in skills.values()]
    return [example for turn in zip(*made, strict=True) for example in turn][:count]


def _in_turn(asked: list[tuple[str, str]], count: int, seed: int) -> list[Example]:
    """So many examples, of each preset and domain in turn."""
    each = -(-count // len(asked))
    made = [world_examples(slug, each, seed=seed, domain=domain) for slug, domain in asked]
    return [example for turn in zip(*made, strict=True) for example in turn][:count]


def world_image(image_key: str) -> Image.Image:
    """The image of an example, drawn anew from its `image_key`.

    Raises:
        ValueError: it is no key of one.
    """
    found = _KEY.fullmatch(image_key)
    if found is None or found["domain"] not in DOMAINS:
        raise ValueError(f"{image_key[:60]!r} names no drawn scene.")
    return render(_scene(found["name"], found["domain"]))


def _scene(name: str, domain: str) -> Scene:
    rng = random.Random(name)
    return sample_scene(rng) if domain == "shapes" else DOMAINS[domain].sample(rng)


def _examples(preset: Preset, count: int, name: str, domain: str) -> Iterable[Example]:
    number = tries = made = 0
    while made < count:
        key = f"{name}:{number}"
        number += 1
        scene = _scene(key, domain)
        asked = preset.ask(scene, random.Random(f"{key}:{preset.slug}"))
        if asked is None:
            tries += 1
            if tries > _MOST_TRIES * (1 + made):
                raise UnknownPresetError(f"{preset.title} is hardly ever asked of {domain}.")
            continue
        made += 1
        params, reference, target = asked
        yield Example(
            preset.skill, params, partial(render, scene), f"world:{key}", reference, target
        )
