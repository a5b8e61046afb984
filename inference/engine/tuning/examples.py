"""What a model is tuned on: one thing asked of an image, with what is right."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from inference.engine.metrics.regions import CORNERS, FAR
from inference.engine.numbers import is_number
from inference.engine.rewards.cases import MAX_REGIONS, MAX_TEXT, Reference, UnreadableReference
from inference.engine.settings import read_reference

SKILLS = ("query", "caption", "point", "detect")
LENGTHS = ("short", "normal", "long")
MOST_SPATIAL_REFS = 16
MAX_PROMPT = 2000
"""Characters of a question or an object, as the API takes them."""
_TAKES = {
    "query": ("question", "reasoning", "spatial_refs"),
    "caption": ("length",),
    "point": ("object",),
    "detect": ("object",),
}
_TEACHES = {
    "query": ("answer",), "caption": ("caption",), "point": ("points", "boxes"), "detect": ("boxes",),
}  # fmt: skip
Problem = tuple[str, str]
"""Where something is wrong, and what."""


class ExampleError(ValueError):
    """No example: each problem with its path."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{path} {text}" if path else text for path, text in problems))


@dataclass(frozen=True, slots=True)
class Example:
    """One thing asked of an image, with what is right.

    Raises:
        ExampleError: the skill cannot be asked or taught so, with everything that is wrong.
    """

    skill: str
    """One of `SKILLS`."""
    params: Mapping[str, Any]
    """The wire's: "question" (with "reasoning" and "spatial_refs"), "length" or "object"."""
    open_image: Callable[[], Image.Image] | None = field(default=None, compare=False)
    """None for a question about nothing seen."""
    image_key: str = ""
    """Names the image's content, so that it is encoded once."""
    reference: Any = None
    """What a reward reads: see `rewards.Reference.read`. None where nothing is known."""
    target: Mapping[str, Any] | None = None
    """What supervised tuning teaches: {"answer"}, {"caption"}, {"points"} or {"boxes"}."""

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ExampleError(problems)

    @property
    def prompt(self) -> str:
        """The question, object or length that is asked with."""
        return str(self.params[_TAKES[self.skill][0]])


def _problems(example: Example) -> Iterable[Problem]:
    if example.skill not in SKILLS:
        yield "skill", f"must be one of {', '.join(SKILLS)}"
        return
    yield from params_problems(example.skill, example.params)
    if example.open_image is None and example.skill != "query":
        yield "image", f"is needed: {example.skill} is about one"
    if example.open_image is not None and not example.image_key:
        yield "image_key", "is needed where there is an image"
    try:
        Reference.read(example.reference)
    except UnreadableReference as error:
        yield "reference", str(error)
    if example.target is not None:
        yield from target_problems(example.skill, example.target)


def params_problems(skill: str, params: Mapping[str, Any]) -> Iterable[Problem]:
    """What is wrong with what a skill is asked with."""
    takes = _TAKES[skill]
    for name in params:
        if name not in takes:
            yield str(name)[:40], f"is not read by {skill}"
    asked = params.get(takes[0])
    if skill == "caption":
        if asked not in LENGTHS:
            yield "length", f"must be one of {', '.join(LENGTHS)}"
        return
    yield from _text_problems(takes[0], asked, MAX_PROMPT)
    if not isinstance(params.get("reasoning", False), bool):
        yield "reasoning", "must be true or false"
    yield from _spatial_problems(params.get("spatial_refs", ()))


def _spatial_problems(refs: Any) -> Iterable[Problem]:
    if not isinstance(refs, list | tuple) or len(refs) > MOST_SPATIAL_REFS:
        yield "spatial_refs", f"must be an array of at most {MOST_SPATIAL_REFS} places"
        return
    for number, ref in enumerate(refs):
        if not isinstance(ref, list | tuple) or not all(is_number(value, FAR) for value in ref):
            yield f"spatial_refs[{number}]", "must be [x, y] or [x1, y1, x2, y2]"
            continue
        try:
            read_reference(ref)
        except ValueError:
            yield f"spatial_refs[{number}]", "must be [x, y] or [x1, y1, x2, y2], each 0 to 1"


def target_problems(skill: str, target: Mapping[str, Any]) -> Iterable[Problem]:
    """What is wrong with what a skill is to learn."""
    teaches = _TEACHES[skill]
    named = [name for name in teaches if name in target]
    for name in target:
        if name not in teaches:
            yield f"target.{str(name)[:40]}", f"is not taught by {skill}"
    if len(named) != 1:
        yield "target", f"must hold {' or '.join(teaches)}"
        return
    value = target[named[0]]
    path = f"target.{named[0]}"
    if named[0] in ("answer", "caption"):
        yield from _text_problems(path, value, MAX_TEXT)
    elif not isinstance(value, list | tuple) or len(value) > MAX_REGIONS:
        yield path, f"must be an array of at most {MAX_REGIONS}"
    else:
        check = _point_problem if named[0] == "points" else _box_problem
        for number, region in enumerate(value):
            if problem := check(region):
                yield f"{path}[{number}]", problem


def _text_problems(path: str, value: Any, most: int) -> Iterable[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield path, "must be a text"
    elif len(value) > most:
        yield path, f"has {len(value):,} characters; at most {most:,} are read"
    elif "\x00" in value:
        yield path, "holds a NUL"
    elif _is_torn(value):
        yield path, "holds half of a character"


def _is_torn(text: str) -> bool:
    """JSON can write halves of surrogate pairs, which no UTF-8 is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _within(values: Iterable[Any]) -> bool:
    return all(is_number(value) and 0 <= value <= 1 for value in values)


def _point_problem(point: Any) -> str:
    if isinstance(point, Mapping) and _within(point.get(name) for name in ("x", "y")):
        return ""
    return "must be {x, y}, each 0 to 1"


def _box_problem(box: Any) -> str:
    if not isinstance(box, Mapping) or not _within(box.get(name) for name in CORNERS):
        return "must be {x_min, y_min, x_max, y_max}, each 0 to 1"
    if box["x_max"] < box["x_min"] or box["y_max"] < box["y_min"]:
        return "must have its smaller corner first"
    return ""
