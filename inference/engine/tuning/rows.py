"""One row of a data set, in whichever of the usual shapes, read into what can be asked and taught.

Read are: our own rows (`image`, `question`, `answer`…), the shapes of TRL's data sets (`prompt`,
`completion`, `messages` with `images`), the image folders of `datasets` (`file_name`), and the groups
of Moondream's tuning API (`request` with `target` or `ground_truth`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.engine.metrics.regions import CORNERS
from inference.engine.rewards.cases import Reference, UnreadableReference
from inference.engine.tuning.examples import (
    SKILLS,
    ExampleError,
    Problem,
    params_problems,
    target_problems,
)

_IMAGES = ("image", "image_url", "file_name", "images")
_REFERENCES = ("reference", "references", "ground_truth", "solution", "label")
_ANSWERS = ("answers", "answer", "captions", "caption", "count", "boxes", "objects", "points")
_OWN = (
    *_IMAGES, *_REFERENCES, *_ANSWERS, "skill", "question", "object", "length", "reasoning",
    "spatial_refs", "id",
)  # fmt: skip
_TRL = ("prompt", "completion", "messages", *_IMAGES, *_REFERENCES, *_ANSWERS, "skill", "id")
_GROUP = ("mode", "request", "target", "ground_truth", "rollouts", "rewards", "id")
_PARAMS = ("question", "object", "length", "reasoning", "spatial_refs")
MOST_NAMED = 100
"""Groups of one row."""


@dataclass(slots=True)
class Asked:
    """What one row asks, before its image is looked for."""

    skill: str
    params: dict[str, Any]
    image: str | None = None
    """A file's name or a data URL."""
    reference: Any = None
    target: dict[str, Any] | None = None
    unread: tuple[str, ...] = field(default=())
    """Fields of the row that mean nothing here."""


def read_row(row: Any) -> list[Asked]:
    """What a row asks: one thing, or one for each of a training step's groups.

    Raises:
        ExampleError: with everything that is wrong.
    """
    if not isinstance(row, Mapping):
        raise ExampleError([("", "must be an object")])
    if "groups" in row:
        groups = row["groups"]
        if not isinstance(groups, list) or not 0 < len(groups) <= MOST_NAMED:
            raise ExampleError([("groups", f"must be an array of 1 to {MOST_NAMED}")])
        return [_read(group) for group in groups]
    return [_read(row)]


def _read(row: Any) -> Asked:
    if not isinstance(row, Mapping):
        raise ExampleError([("", "must be an object")])
    if "request" in row:
        asked = _group(row)
    elif "chosen" in row or "rejected" in row:
        raise ExampleError(
            [("chosen", "pairs of preferences are not read: send a reference or an answer")]
        )
    elif "messages" in row or "prompt" in row:
        asked = _conversation(row)
    else:
        asked = _own(row)
    if problems := list(_problems(asked)):
        raise ExampleError(problems)
    return asked


def _problems(asked: Asked) -> Iterable[Problem]:
    yield from params_problems(asked.skill, asked.params)
    if asked.image is None and asked.skill != "query":
        yield "image", f"is needed: {asked.skill} is about one"
    if asked.target is not None and (wrong := list(target_problems(asked.skill, asked.target))):
        yield from wrong
        return  # the reference says the same
    try:
        Reference.read(asked.reference)
    except UnreadableReference as error:
        yield "reference", str(error)


def _unread(row: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(name) for name in row if name not in known)


# Our own rows.


def _own(row: Mapping[str, Any]) -> Asked:
    skill = _skill(row)
    params = {name: row[name] for name in _PARAMS if row.get(name) is not None}
    if skill == "caption":
        params.setdefault("length", "normal")
    target, reference = _right(skill, row)
    return Asked(
        skill, params, _image(row), reference=_reference(row, reference), target=target,
        unread=_unread(row, _OWN),
    )  # fmt: skip


def _skill(row: Mapping[str, Any]) -> str:
    """As the row says, or as its fields tell.

    Raises:
        ExampleError: they do not.
    """
    said = row.get("skill")
    if said is not None:
        if said not in SKILLS:
            raise ExampleError([("skill", f"must be one of {', '.join(SKILLS)}")])
        return str(said)
    if "question" in row:
        return "query"
    if "object" in row:
        if "boxes" in row or "objects" in row:
            return "detect"
        if "points" in row:
            return "point"
        raise ExampleError([("skill", "is needed: an object can be pointed at or detected")])
    if any(name in row for name in ("caption", "captions", "length")):
        return "caption"
    raise ExampleError(
        [("", "asks nothing: it has no question, object, caption, prompt or request")]
    )


def _right(skill: str, row: Mapping[str, Any]) -> tuple[dict[str, Any] | None, Any]:
    """What a row teaches, and the reference that follows from it."""
    if skill in ("query", "caption"):
        name = "answer" if skill == "query" else "caption"
        texts = row.get(f"{name}s", row.get(name))
        if texts is None and skill == "query" and row.get("count") is not None:
            return {"answer": str(row["count"])}, {"count": row["count"]}
        if texts is None:
            return None, None
        listed = texts if isinstance(texts, list) else [texts]
        said = [_as_text(text) for text in listed]
        if not said:
            raise ExampleError([(f"{name}s", "is empty")])
        first = _as_text(row[name]) if row.get(name) is not None else said[0]
        return {name: first}, {f"{name}s": said}
    name = "points" if row.get("points") is not None and skill == "point" else "boxes"
    regions = row.get(name)
    if regions is None and name == "boxes":
        regions = row.get("objects")
    return _regions(name, regions)


def _as_text(value: Any) -> Any:
    """A number as it is written; anything else is judged where a text is needed."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _regions(name: str, given: Any) -> tuple[dict[str, Any] | None, Any]:
    if given is None:
        return None, None
    if not isinstance(given, list):
        raise ExampleError([(name, "must be an array")])
    read, problems = [], []
    for number, region in enumerate(given):
        one = _region(name, region)
        if one is None:
            wanted = "[x, y]" if name == "points" else "[x_min, y_min, x_max, y_max]"
            problems.append((f"{name}[{number}]", f"must be {wanted}, or an object of these"))
        elif any(value > 2 for value in one.values()):
            problems.append(
                (
                    f"{name}[{number}]",
                    "is in pixels: divide x by the image's width, y by its height",
                )
            )
        else:
            read.append(one)
    if problems:
        raise ExampleError(problems)
    return {name: read}, {"points": read} if name == "points" else {"objects": read}


def _region(name: str, region: Any) -> dict[str, float] | None:
    names = ("x", "y") if name == "points" else CORNERS
    if isinstance(region, Mapping):
        values = region.get("box") if "box" in region else [region.get(each) for each in names]
    else:
        values = region
    if not isinstance(values, list | tuple) or len(values) != len(names):
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    if not all(abs(v) < 1e9 for v in values):
        return None
    return {each: float(value) for each, value in zip(names, values, strict=True)}


def _reference(row: Mapping[str, Any], otherwise: Any) -> Any:
    for name in _REFERENCES:
        if row.get(name) is not None:
            value = row[name]
            return {"objects": value["boxes"]} if _has_boxes(value) else value
    return otherwise


def _has_boxes(value: Any) -> bool:
    return isinstance(value, Mapping) and "boxes" in value


def _image(row: Mapping[str, Any]) -> str | None:
    """The one image of a row.

    Raises:
        ExampleError: there are several, or it is no name and no data URL.
    """
    named = [row[name] for name in _IMAGES if row.get(name) not in (None, [])]
    if not named:
        return None
    image = named[0]
    if isinstance(image, list):
        if len(image) > 1:
            raise ExampleError([("images", "holds several: one thing is asked of one image")])
        image = image[0]
    if isinstance(image, Mapping):
        image = image.get("path") or image.get("url")
    if not isinstance(image, str) or not image:
        raise ExampleError([("image", "must be a file's name in the zip, or a data URL")])
    return image


# TRL's shapes.


def _conversation(row: Mapping[str, Any]) -> Asked:
    turns = _turns(row.get("messages", row.get("prompt")), "user")
    if row.get("completion") is not None:
        turns += _turns(row["completion"], "assistant")
    roles = [role for role, _, _ in turns if role != "system"]
    if roles not in (["user"], ["user", "assistant"]):
        raise ExampleError(
            [("messages", "must be one question, or one with its answer: this model has no memory")]
        )
    said = {role: text for role, text, _ in turns}
    images = [image for _, _, held in turns for image in held]
    image = _image(row) or _image({"images": images})
    skill = row.get("skill") or "query"
    if skill not in SKILLS:
        raise ExampleError([("skill", f"must be one of {', '.join(SKILLS)}")])
    if skill in ("point", "detect"):
        params: dict[str, Any] = {"object": said["user"]}
    else:
        params = {"question": said["user"]} if skill == "query" else {"length": said["user"]}
    target, reference = _right(skill, row)
    if said.get("assistant") and skill in ("query", "caption"):
        name = "answer" if skill == "query" else "caption"
        target, reference = (
            {name: said["assistant"]},
            reference or {f"{name}s": [said["assistant"]]},
        )
    unread = _unread(row, _TRL)
    if "system" in said:
        unread = (*unread, "the system's message")
    return Asked(skill, params, image, _reference(row, reference), target, unread)


def _turns(given: Any, role: str) -> list[tuple[str, str, list[Any]]]:
    """(role, text, images) of each message.

    Raises:
        ExampleError: these are no messages.
    """
    if isinstance(given, str):
        return [(role, given, [])]
    if not isinstance(given, list) or not given:
        raise ExampleError([("messages", "must be a text or an array of messages")])
    turns = []
    for number, message in enumerate(given):
        path = f"messages[{number}]"
        said = message.get("role") if isinstance(message, Mapping) else None
        if said not in ("system", "user", "assistant"):
            raise ExampleError([(path, "must have the role system, user or assistant")])
        turns.append((said, *_content(message.get("content"), path)))
    return turns


def _content(given: Any, path: str) -> tuple[str, list[Any]]:
    if isinstance(given, str):
        return given, []
    texts, images = [], []
    for held in given if isinstance(given, list) else [None]:
        part: Mapping[str, Any] = held if isinstance(held, Mapping) else {}
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image", "image_url"):
            image = part.get("image") or part.get("image_url") or part.get("url")
            images += [image] if image else []
        else:
            raise ExampleError([(path, "must hold parts of the types text and image")])
    return "\n".join(texts), images


# Groups of Moondream's tuning API.


def _group(row: Mapping[str, Any]) -> Asked:
    request = row["request"]
    if not isinstance(request, Mapping):
        raise ExampleError([("request", "must be an object")])
    skill = _skill(request)
    params = {name: request[name] for name in _PARAMS if request.get(name) is not None}
    if skill == "caption":
        params.setdefault("length", "normal")
    target, reference = _taught(skill, row.get("target"))
    if row.get("ground_truth") is not None:
        _, reference = _taught(skill, row["ground_truth"])
    unread = _unread(row, _GROUP)
    if row.get("rollouts"):
        unread = (*unread, "rollouts")
    if isinstance(row.get("target"), Mapping) and row["target"].get("reasoning"):
        unread = (*unread, "target.reasoning")
    return Asked(skill, params, _image(request), reference, target, unread)


def _taught(skill: str, given: Any) -> tuple[dict[str, Any] | None, Any]:
    if given is None:
        return None, None
    if not isinstance(given, Mapping):
        raise ExampleError([("target", "must be an object")])
    target, reference = _right(skill, given)
    if target is None:
        raise ExampleError([("target", f"holds nothing that {skill} is taught")])
    return target, reference
