"""The domain of coloured shapes and signs: captions, questions with exact answers, phrases to find."""

import random
from collections import Counter
from collections.abc import Callable

from inference.world.domain import (
    QA,
    Asker,
    Domain,
    count_wording,
    existence_wording,
    here_question,
    place_question,
    sentence,
)
from inference.world.drawing import draw_shapes
from inference.world.scenes import Scene, WorldObject, sample_scene
from inference.world.vocabulary import COLOURS, SHAPES, SIGN, article, join_phrases, plural

_RELATIONS: dict[str, tuple[int, int]] = {
    "to the left of": (0, -1),
    "to the right of": (0, 1),
    "above": (1, -1),
    "below": (1, 1),
}
_MIN_OFFSET = 0.12
"""Two centres closer than this on an axis are not asked about: the answer would be a matter of taste."""


def caption(scene: Scene, length: str = "normal") -> str:
    """The scene's one reference caption; objects are listed from left to right."""
    if length == "short":
        return sentence(join_phrases([article(_named(o)) for o in scene.objects]))
    if length == "normal":
        listed = join_phrases([article(_named(o, size=True)) for o in scene.objects])
        return sentence(f"{listed} on a {scene.background} background")
    count = len(scene.objects)
    things = "one object" if count == 1 else f"{count} objects"
    verb = "is" if count == 1 else "are"
    listed = join_phrases(
        [f"{article(_named(o, size=True))} at the {o.place}" for o in scene.objects]
    )
    first = sentence(f"there {verb} {things} on a {scene.background} background")
    return f"{first} {'It is' if count == 1 else 'From left to right:'} {listed}."


def _named(item: WorldObject, *, size: bool = False) -> str:
    if item.is_sign:
        return f'sign that reads "{item.text}"'
    return f"{item.size} {item.phrase}" if size else item.phrase


def _unique(scene: Scene, key: Callable[[WorldObject], str]) -> list[WorldObject]:
    counts = Counter(key(o) for o in scene.shapes)
    return [o for o in scene.shapes if counts[key(o)] == 1]


def _unique_named(scene: Scene) -> list[WorldObject]:
    counts = Counter(o.phrase for o in scene.objects)
    return [o for o in scene.objects if counts[o.phrase] == 1]


def _ask_colour(scene: Scene, rng: random.Random) -> QA | None:
    items = _unique(scene, lambda o: o.shape)
    if not items:
        return None
    o = rng.choice(items)
    wording = rng.choice(
        ("What color is the {}?", "What is the color of the {}?", "Which color does the {} have?")
    )
    return QA("color", wording.format(o.shape), o.colour)


def _ask_shape(scene: Scene, rng: random.Random) -> QA | None:
    items = _unique(scene, lambda o: o.colour)
    if not items:
        return None
    o = rng.choice(items)
    wording = rng.choice(
        ("What shape is the {} object?", "What is the {} object?", "What shape is {}?")
    )
    return QA("shape", wording.format(o.colour), o.shape)


def _ask_size(scene: Scene, rng: random.Random) -> QA | None:
    items = [o for o in _unique_named(scene) if not o.is_sign]
    if not items:
        return None
    o = rng.choice(items)
    wording = rng.choice(("Is the {} small or large?", "What size is the {}?"))
    return QA("size", wording.format(o.phrase), o.size)


def _ask_count(scene: Scene, rng: random.Random) -> QA:
    present = [w for o in scene.shapes for w in (o.colour, o.shape)]
    kind = rng.random()
    if kind < 0.35 or not present:
        noun, answer = rng.choice(("shapes", "colored shapes")), len(scene.shapes)
    else:
        word = rng.choice(present) if kind < 0.85 else rng.choice((*COLOURS, *SHAPES))
        noun = f"{word} shapes" if word in COLOURS else plural(word)
        answer = len(scene.matching(noun))
    return QA("count", count_wording(rng).format(noun), str(answer))


def absent_phrase(scene: Scene, rng: random.Random) -> str:
    """A phrase that names nothing in the scene, often differing in one word from what is there."""
    while True:
        phrase = f"{rng.choice(tuple(COLOURS))} {rng.choice(SHAPES)}"
        if scene.shapes and rng.random() < 0.7:
            o = rng.choice(scene.shapes)
            colour, shape = phrase.split()
            phrase = f"{o.colour} {shape}" if rng.random() < 0.5 else f"{colour} {o.shape}"
        if not scene.matching(phrase):
            return phrase


def _ask_exists(scene: Scene, rng: random.Random) -> QA:
    if rng.random() < 0.15:
        phrase, yes = SIGN, scene.sign is not None
    elif rng.random() < 0.5 and scene.shapes:
        phrase, yes = rng.choice(scene.shapes).phrase, True
    else:
        phrase, yes = absent_phrase(scene, rng), False
    return QA("existence", existence_wording(rng).format(article(phrase)), "yes" if yes else "no")


def _ask_relation(scene: Scene, rng: random.Random) -> QA | None:
    items = _unique_named(scene)
    pairs = [
        (a, b, name, sign)
        for a in items
        for b in items
        for name, (axis, sign) in _RELATIONS.items()
        if a is not b and abs(a.centre[axis] - b.centre[axis]) >= _MIN_OFFSET
    ]
    if not pairs:
        return None
    a, b, name, sign = rng.choice(pairs)
    axis = _RELATIONS[name][0]
    holds = (a.centre[axis] - b.centre[axis]) * sign > 0
    return QA("relation", f"Is the {a.phrase} {name} the {b.phrase}?", "yes" if holds else "no")


def _ask_place(scene: Scene, rng: random.Random) -> QA | None:
    return place_question(_unique_named(scene), rng)


def _ask_reading(scene: Scene, rng: random.Random) -> QA | None:
    if scene.sign is None:
        return None
    text = scene.sign.text
    wording = rng.choice(
        ("What does the sign say?", "What is written on the sign?", "Read the sign.")
        if not text.isdigit()
        else ("What number is on the sign?", "What does the sign say?", "Read the sign.")
    )
    return QA("reading", wording, text)


def _ask_background(scene: Scene, rng: random.Random) -> QA:
    wording = rng.choice(("What color is the background?", "What is the background color?"))
    return QA("background", wording, scene.background)


def _ask_here(scene: Scene, rng: random.Random) -> QA | None:
    return here_question(scene.objects, rng)


_ASKERS: dict[str, Asker] = {
    "color": _ask_colour,
    "shape": _ask_shape,
    "size": _ask_size,
    "count": _ask_count,
    "existence": _ask_exists,
    "relation": _ask_relation,
    "place": _ask_place,
    "reading": _ask_reading,
    "background": _ask_background,
    "here": _ask_here,
}


def targets(scene: Scene, rng: random.Random) -> tuple[str, list[WorldObject]]:
    """A phrase to point at or detect, and the objects it names (left to right; may be none)."""
    roll = rng.random()
    if roll < 0.1 or not scene.objects:
        return absent_phrase(scene, rng), []
    o = rng.choice(scene.objects)
    if o.is_sign or roll < 0.6:
        phrase = o.phrase
    elif roll < 0.75:
        phrase = o.shape
    elif roll < 0.9:
        phrase = f"{o.colour} shape"
    else:
        phrase = "shape"
    found = scene.matching(phrase)
    return (plural(phrase) if rng.random() < 0.35 else phrase), found


SHAPES_DOMAIN = Domain(
    "shapes",
    "Shapes and signs",
    (*SHAPES, SIGN),
    sample_scene,
    draw_shapes,
    caption,
    _ASKERS,
    targets,
)
