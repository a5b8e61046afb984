"""The API reference, read from the API's own schema."""

import functools
import json
from typing import Any

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
