"""Reads for pages: figures of the model's own answers, the API reference, navigation."""

import functools
import json
from dataclasses import dataclass, field
from typing import Any

from django.templatetags.static import static

from inference.world.samples import SAMPLE_DIR, SAMPLES


@dataclass(frozen=True, slots=True)
class AnswerFigure:
    """A sample image with what the model answered about it, and who computed that when."""

    image_url: str
    width: int
    height: int
    alt: str
    caption: str
    question: str = ""
    answer: str = ""
    boxes: list[dict[str, float]] = field(default_factory=list)


@functools.cache
def _answers() -> dict[str, Any]:
    """The file that `manage.py sample_answers` wrote by running the model."""
    file = SAMPLE_DIR / "answers.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"samples": {}}
    return found


def answer_figure(slug: str, skill: str) -> AnswerFigure | None:
    """The figure of a sample and a skill; None where the model was not run on it."""
    sample = next((s for s in SAMPLES if s.slug == slug), None)
    record = _answers()["samples"].get(slug)
    if sample is None or record is None or skill not in record["answers"]:
        return None
    given = record["answers"][skill]
    boxes = [_on_grid(b) for b in given["result"].get("objects", given["result"].get("points", []))]
    text = given["result"].get("answer") or given["result"].get("caption") or ""
    if boxes:
        count = len(boxes)
        text = f"{count} {'box' if skill == 'detect' else 'point'}{'es' if count > 1 and skill == 'detect' else 's' if count > 1 else ''}"
    return AnswerFigure(
        image_url=static(f"samples/{sample.file_name}"),
        width=record["width"],
        height=record["height"],
        alt=sample.alt,
        caption=f"{_answers()['model']}, computed on {_answers()['computed_on']}. The scene is drawn, and chosen.",
        question=f"{skill.capitalize()}: {given['prompt']}"
        if given["prompt"]
        else skill.capitalize(),
        answer=text,
        boxes=boxes,
    )


def _on_grid(region: dict[str, float]) -> dict[str, float]:
    """A box (or a point, as a small box) on a 1000 × 1000 grid."""
    if "x" in region:
        half = 0.012
        region = {
            "x_min": region["x"] - half, "x_max": region["x"] + half,
            "y_min": region["y"] - half, "y_max": region["y"] + half,
        }  # fmt: skip
    return {
        "x": round(region["x_min"] * 1000, 1),
        "y": round(region["y_min"] * 1000, 1),
        "width": round((region["x_max"] - region["x_min"]) * 1000, 1),
        "height": round((region["y_max"] - region["y_min"]) * 1000, 1),
    }


_schema_source: Any = None


def register_schema(source: Any) -> None:
    """The shell tells where the API's OpenAPI schema comes from: research may not import it."""
    global _schema_source
    _schema_source = source


@functools.cache
def api_reference() -> list[dict[str, Any]]:
    """Operations of the OpenAPI schema, in reading form: fields and responses resolved."""
    schema = _schema_source() if _schema_source else {"paths": {}}
    parts = schema.get("components", {}).get("schemas", {})
    return [
        _operation(path, method, operation, parts)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def _operation(
    path: str, method: str, operation: dict[str, Any], parts: dict[str, Any]
) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    kind, body = next(iter(content.items()), ("", dict[str, Any]()))
    responses = operation.get("responses", {})
    good: dict[str, Any] = next((responses[c] for c in responses if str(c).startswith("2")), {})
    contents: list[dict[str, Any]] = list(good.get("content", {}).values()) or [{}]
    reply: dict[str, Any] = contents[0].get("schema", {})
    return {
        "id": operation.get("operationId", path),
        "tag": (operation.get("tags") or ["API"])[0],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "content_type": kind,
        "parameters": [
            {"name": p["name"], "where": p["in"], "required": p.get("required", False), "type": _type(p.get("schema", {}), parts)}
            for p in operation.get("parameters", [])
        ],
        "fields": _fields(body.get("schema", {}), parts),
        "reply": _fields(reply, parts),
        "errors": sorted(str(code) for code in responses if not str(code).startswith("2")),
    }  # fmt: skip


def _resolve(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    ref = schema.get("$ref", "")
    found: dict[str, Any] = parts.get(ref.rsplit("/", 1)[-1], {}) if ref else schema
    return found


def _fields(schema: dict[str, Any], parts: dict[str, Any]) -> list[dict[str, Any]]:
    resolved = _resolve(schema, parts)
    if resolved.get("type") == "array":
        resolved = _resolve(resolved.get("items", {}), parts)
    required = set(resolved.get("required", []))
    return [
        {
            "name": name,
            "type": _type(value, parts),
            "required": name in required,
            "default": value.get("default"),
            "description": value.get("description", ""),
        }
        for name, value in resolved.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any], parts: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(s, parts) for s in schema["anyOf"] if s.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "enum" in schema:
        return " | ".join(json.dumps(v) for v in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), parts)}"
    return str(schema.get("type", "any"))
