"""Input that nobody means well by, and where the site reads any: found from its addresses, its source,
its API's schema and the forms of `cases`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.authorisation.addresses import OURS

ODD_TEXT = {
    "blank": " \t ", "nul": "a\x00b", "long": "x" * 5000, "wide": "🙂é" * 700, "huge": "9" * 2000,
    "large": "9" * 25, "minus": "-1", "nan": "NaN", "digits": "٣", "quote": "'\"<>{}%\u202e",
}  # fmt: skip
"""For query parameters and fields of forms."""

ODD_PARTS = {
    "nul": "a%00b", "not utf-8": "%ff%fe", "half": "%ed%a0%80", "up": "..%2f..", "huge": "9" * 1500,
    "large": "9" * 25, "digits": "%D9%A3", "very long": "x" * 9000, "line": "a%0ab",
}  # fmt: skip
"""For parts of a path, as they are sent."""

ODD_JSON = (
    "null", "true", "-1", "1e999", "9" * 400, "9" * 5000, "1.5", "NaN", '""', '"  "', '"a\\u0000b"',
    '"\\ud800"', '"\\udfff\\ud800"', f'"{"x" * 100_000}"', "[]", "{}", "[[[[]]]]", '["a"]', '[{"a": null}]',
    '{"a": "b"}', "[" * 300 + "]" * 300, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000,
)  # fmt: skip
"""For a field of a JSON body, as it is written."""

ODD_BODIES = (
    b"", b" ", b"null", b"[]", b'"a"', b"1", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":1,}', b"NaN",
    b"{" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 100_000, b"\x00", "{}".encode("utf-16"),
    b'{"question": "' + b"\xed\xa0\x80" + b'"}', b"9" * 5000,
)  # fmt: skip
"""Instead of a JSON body."""

ODD_HEADERS = ("", "a\x00b", "\xff", "x" * 5000, "9" * 25 + "-0", ',;="', "*/*;q=x")
HEADERS = (
    "Idempotency-Key", "Last-Event-ID", "Authorization", "X-Moondream-Auth", "Accept-Language", "Cookie",
    "If-None-Match", "If-Modified-Since", "Range", "Accept", "Content-Type", "Content-Length", "Origin",
    "Referer", "HX-Request", "X-Requested-With", "X-Forwarded-For", "X-Partial", "Accept-Encoding",
)  # fmt: skip

_READ = re.compile(r'(?:GET|query|fields)\.get(?:list)?\(\s*"(\w+)"')
_POSTED = re.compile(r'(?:POST|data|fields)\.get(?:list)?\(\s*"(\w+)"')
_DECLARED = re.compile(r"^    (\w+) = forms\.\w+Field\(", re.MULTILINE)


def _names(*patterns: re.Pattern[str]) -> list[str]:
    found = set[str]()
    for room in OURS:
        for file in sorted((Path(settings.BASE_DIR) / room).rglob("*.py")):
            text = file.read_text()
            for pattern in patterns:
                found |= set(pattern.findall(text))
    return sorted(found)


def query_names() -> list[str]:
    """Every query parameter that a view reads, and those of the libraries' lists."""
    return sorted(
        {*_names(_READ), "tag", "year", "page", "p", "o", "ordering", "next", "split", "format"}
    )


def form_names() -> list[str]:
    """Every field that a form or a view reads."""
    return _names(_POSTED, _DECLARED)


def json_fields(schema: dict[str, Any], address: str) -> list[str]:
    """The fields of an operation's JSON body."""
    operation = schema["paths"].get(f"/{_braces(address)}", {}).get("post") or schema["paths"].get(
        f"/{_braces(address)}", {}
    ).get("patch", {})
    content = (operation or {}).get("requestBody", {}).get("content", {})
    named = content.get("application/json", {}).get("schema", {}).get("$ref", "").rsplit("/")[-1]
    return list(schema["components"]["schemas"].get(named, {}).get("properties", {}))


def _braces(address: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", address)


def odd_paths(address: str, filled: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The address with each of its parts made odd in turn: what is odd, and the path."""
    names = re.findall(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>", address)
    for pair in names:
        name = pair[0] or pair[1]
        if filled.count(str(values[name])) != 1:
            continue
        for kind, odd in ODD_PARTS.items():
            yield f"{name} {kind}", filled.replace(str(values[name]), odd)
    for kind in ("nul", "not utf-8", "very long"):
        yield f"end {kind}", filled + ODD_PARTS[kind]
