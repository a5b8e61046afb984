"""The errors of the API's OpenAPI document, from their declarations."""

from collections import defaultdict
from typing import Any

from inference.errors import ErrorKind, catalogue
from inference.schemas import ErrorOut
from leaderboard.schemas import ProblemOut

_REF = "#/components/schemas/{model}"
_SHAPES: dict[str, tuple[str, type[ErrorOut | ProblemOut], str, frozenset[str]]] = {
    "/v1": (
        "V1", ErrorOut, "application/json", frozenset({"inference", "pricing", "moondream_site"}),
    ),
    "/api": (
        "Api", ProblemOut, "application/problem+json",
        frozenset({"leaderboard", "inference", "pricing", "moondream_site"}),
    ),
}  # fmt: skip
"""By the beginning of an address: a name for its errors, their shape and type, whose they are."""


def add_errors(document: dict[str, Any]) -> None:
    """Let every operation say the errors it can answer with."""
    components = document["components"]
    responses = components.setdefault("responses", {})
    for name, shape, media_type, rooms in _SHAPES.values():
        schema = shape.model_json_schema(ref_template=_REF)
        components["schemas"] |= {**schema.pop("$defs", {}), shape.__name__: schema}
        content = {media_type: {"schema": {"$ref": _REF.format(model=shape.__name__)}}}
        for status, kinds in _by_status(rooms).items():
            responses[f"{name}Error{status}"] = {
                "description": "\n".join(f"- `{kind.code}`: {kind.title}" for kind in kinds),
                "content": content,
            }
    for path, operations in document["paths"].items():
        name, _, _, rooms = next(of for start, of in _SHAPES.items() if path.startswith(start))
        for operation in operations.values():
            operation["responses"] |= {
                str(status): {"$ref": f"#/components/responses/{name}Error{status}"}
                for status in _by_status(rooms)
            }


def _by_status(rooms: frozenset[str]) -> dict[int, list[ErrorKind]]:
    found: defaultdict[int, list[ErrorKind]] = defaultdict(list)
    for kind in catalogue():
        if kind.room in rooms:
            found[kind.status].append(kind)
    return dict(sorted(found.items()))
