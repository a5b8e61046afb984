"""What no part of the site can read never reaches one."""

import json
from typing import Any

import pytest
from django.test import Client, RequestFactory

from inference.errors import InvalidInput
from moondream_site.readable import MAX_DEPTH, MAX_PATH, ReadableParser, is_readable


@pytest.mark.parametrize(
    ("text", "told"),
    [("", True), ("é 🙂", True), ("a\x00", False), ("\ud800", False), ("\x01\u202e", True)],
)
def test_what_can_be_read(text: str, told: bool) -> None:
    assert is_readable(text) is told


def _parsed(body: bytes) -> Any:
    request = RequestFactory().post("/v1/query", body, content_type="application/json")
    return ReadableParser().parse_body(request)


def test_json_is_read_as_it_is() -> None:
    value = {"a": [1, 1.5, None, "é🙂"], "deep": [[[[[[["b"]]]]]]]}
    assert _parsed(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [b'{"a": ["\\u0000"]}', b'{"\\u0000": 1}', b'[[{"a": "\\ud800"}]]',
     b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)],
)  # fmt: skip
def test_json_that_cannot_be_kept_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        _parsed(body)


@pytest.mark.parametrize("body", [b"[NaN]", b"Infinity", b"\xff", b"", b"[" * 100_000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        _parsed(body)


@pytest.mark.parametrize(
    ("address", "status"),
    [("/a%00b/", 404), (f"/{'x' * MAX_PATH}/", 404), ("/healthz?q=a%00b", 400),
     ("/healthz?a%00b=1", 400), (f"/healthz?q={'x' * 40_000}", 414), ("/healthz?q=%ff%fe", 200)],
)  # fmt: skip
def test_addresses(db, address: str, status: int) -> None:
    answer = Client(raise_request_exception=False).get(address)
    assert answer.status_code == status
    if status != 200:
        assert b"<h1>" in answer.content


@pytest.mark.parametrize(
    ("address", "kind"),
    [("/v1/jobs/a%00b", "application/json"), ("/api/challenges?q=%00", "application/problem+json")],
)
def test_the_api_is_told_in_json(db, address: str, kind: str) -> None:
    answer = Client().get(address)
    assert answer["Content-Type"] == kind
    assert answer.status_code in (400, 404)
    assert answer.json()
