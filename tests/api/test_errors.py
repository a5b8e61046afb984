"""One declaration per error: what is raised, answered, catalogued and documented is the same."""

import ast
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway

from inference import answering, errors, selectors, services
from inference.errors import KINDS, Busy, DomainError, ErrorKind, catalogue, kind_of
from inference.models import Job
from leaderboard import selectors as boards
from moondream_site import errors as site_errors

ROOT = Path(__file__).parents[2]
ROOMS = (
    "inference",
    "pricing",
    "leaderboard",
    "playground",
    "research",
    "status",
    "notifications",
    "moondream_site",
)
FAMILIES = {family.__name__ for family in (DomainError, *DomainError.__subclasses__())}


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            if file != ROOT / "inference" / "errors.py":
                yield file.relative_to(ROOT), ast.parse(file.read_text())


def _references(tree: ast.Module) -> set[str]:
    """Names of declarations that a module uses: `errors.JOB_NOT_FOUND`, or imported by itself."""
    dotted = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id.endswith("errors")
        and node.attr.isupper()
    }
    return dotted | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_errors_are_raised_by_their_declaration_alone() -> None:
    made: list[str] = []
    used: set[str] = set()
    for file, tree in _sources():
        made += [
            f"{file}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in FAMILIES
        ]
        if file.name != "errors.py":
            used |= _references(tree)
    assert made == []
    used |= {"INTERNAL_ERROR"}
    assert {code.upper() for code in KINDS} - used == set(), "declared, and raised by nobody"


def test_a_declaration_is_whole() -> None:
    for kind in KINDS.values():
        assert re.fullmatch(r"[a-z_]{3,40}", kind.code), kind.code  # a job keeps it
        assert 400 <= kind.status < 600
        assert kind.title.endswith("."), kind.code
        assert kind.hint or not kind.is_of_api, kind.code
        error = kind()
        assert (error.code, error.status) == (kind.code, kind.status)
        assert isinstance(error, Busy) == (kind.status in (429, 503))
        assert error.retry_after > 0 or not isinstance(error, Busy)
    with pytest.raises(ValueError, match="twice"):
        ErrorKind("inference", "timeout", 400, "Another.", "None.")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.code)
def test_every_error_is_answered_with_its_status(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: ErrorKind
) -> None:
    def refuse(*_: Any) -> None:
        raise kind(field="x")

    monkeypatch.setattr(selectors, "variants_available", refuse)
    answer = client.get("/v1/variants")
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["param"]) == (kind.status, kind.code, "x")
    assert kind.title in told["message"]
    assert kind.hint in told["message"]  # what OpenAI's clients show is this text alone
    assert ("Retry-After" in answer) == (kind.status in (429, 503))

    monkeypatch.setattr(boards, "benchmark_get", refuse)
    answer = client.get("/api/leaderboards/colours")
    _is_problem(answer, kind)


def _is_problem(answer: Any, kind: ErrorKind) -> None:
    assert answer.status_code == kind.status
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == kind.status
    assert problem["type"] == f"urn:moondream:problem:{kind.code}"
    assert (problem["title"], problem["code"]) == (kind.title, kind.code)
    assert problem["detail"]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [k for k in catalogue() if k.room == "inference"], ids=str)
def test_what_a_worker_says_keeps_its_status_and_hint(kind: ErrorKind) -> None:
    """From the stream, and from the database once the stream has expired."""
    services.variants_sync()
    job = Job(skill="caption", variant=selectors.variant_get(None), status=Job.Status.RUNNING)
    job.save()
    services.settling.fail(job, kind("What happened."))
    for event in (answering.terminal_event(job), SimpleNamespace(
        type="error", data={"code": kind.code, "message": "What happened.", "hint": "Do this."},
    )):  # fmt: skip
        with pytest.raises(DomainError, match="What happened") as caught:
            answering.result_of(event)
        assert (caught.value.status, caught.value.code) == (kind.status, kind.code)
        assert caught.value.hint in (kind.hint, "Do this.")


def test_an_unknown_code_is_our_fault() -> None:
    assert kind_of("of_an_older_release") is errors.INTERNAL_ERROR


def _file(size: int) -> BytesIO:
    file = BytesIO(bytes(size))
    file.name = "predictions.jsonl"
    return file


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("get", "", site_errors.NOT_FOUND),
        ("get", "/", site_errors.NOT_FOUND),
        ("get", "/nothing", site_errors.NOT_FOUND),
        ("post", "/nothing/at/all/", site_errors.NOT_FOUND),
        ("get", "//nothing//here//", site_errors.NOT_FOUND),
        ("get", "/a%00b", site_errors.NOT_FOUND),
        ("get", "/" + "a" * 3000, site_errors.NOT_FOUND),
        ("get", "/nothing?q=" + "a" * 40_000, site_errors.ADDRESS_TOO_LONG),
        ("get", "/nothing?q=%00", site_errors.BAD_REQUEST),
    ],
)
@pytest.mark.parametrize("root", ["/v1", "/api"])
def test_any_address_of_programs_answers_programs(
    client: Client, root: str, method: str, path: str, kind: ErrorKind
) -> None:
    answer = getattr(client, method)(root + path)
    if root == "/api":
        _is_problem(answer, kind)
        return
    assert answer["Content-Type"] == "application/json"
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (kind.status, kind.code)
    assert set(told) >= {"message", "type", "param", "code", "hint"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v10", "/v1x/caption", "/apis", "/v"])
def test_other_addresses_are_pages(client: Client, path: str) -> None:
    answer = client.get(path, follow=True)
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/variants", "/api/leaderboards", "/api/challenges"])
def test_a_wrong_method_of_any_router(client: Client, path: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)(path)
        assert answer.status_code == 405
        assert answer["Allow"] == "GET, HEAD"
        if path.startswith("/api"):
            _is_problem(answer, site_errors.METHOD_NOT_ALLOWED)
        else:
            assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/v1/variants", "/api/leaderboards/colours"])
@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (RuntimeError("a secret"), errors.INTERNAL_ERROR),
        (OperationalError("a secret"), site_errors.DATABASE_UNAVAILABLE),
        (RedisAway("a secret"), errors.QUEUE_UNAVAILABLE),
        (RequestDataTooBig("a secret"), site_errors.BODY_TOO_LARGE),
    ],
)
def test_what_breaks_is_told_in_the_readers_shape(
    settings: Any, monkeypatch: pytest.MonkeyPatch, debug: bool, path: str, raised: Any, kind: ErrorKind
) -> None:  # fmt: skip
    def broken(*_: Any) -> None:
        raise raised

    settings.DEBUG = debug
    monkeypatch.setattr(selectors, "variants_available", broken)
    monkeypatch.setattr(boards, "benchmark_get", broken)
    answer = Client(raise_request_exception=False).get(path)
    assert b"secret" not in answer.content
    if path.startswith("/api"):
        _is_problem(answer, kind)
    else:
        told = answer.json()["error"]
        assert (answer.status_code, told["code"]) == (kind.status, kind.code)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/variants", "/api/leaderboards/colours", "/nothing/"])
def test_a_fault_outside_of_the_api_too(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    from moondream_site import limits

    def broken(*_: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(limits, "use_of", broken)
    answer = Client(raise_request_exception=False).get(path)
    assert answer.status_code == 500
    assert b"secret" not in answer.content
    if path.startswith("/api"):
        _is_problem(answer, errors.INTERNAL_ERROR)
    if path.startswith("/v1"):
        assert answer.json()["error"]["code"] == "internal_error"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body", "kind", "code"),
    [
        ("/v1/caption", "{}", "text/plain", "unsupported_content_type"),
        ("/v1/caption", "{}", "application/x-www-form-urlencoded", "unsupported_content_type"),
        ("/v1/caption", "--x--", "multipart/form-data; boundary=x", "unsupported_content_type"),
        ("/v1/caption", "{}", "application/xml", "unsupported_content_type"),
        ("/v1/caption", "{}", "application/json; charset=utf-8", "invalid_field"),
        ("/v1/caption", "{}", "application/vnd.lab+json", "invalid_field"),
        ("/v1/caption", "{}", "", "invalid_field"),
        ("/v1/caption", "image", "", "unsupported_content_type"),
        ("/v1/caption", "{", "application/json", "bad_json"),
        ("/v1/caption", "", "application/json", "invalid_field"),
        ("/v1/chat/completions", "{}", "text/plain", "unsupported_content_type"),
        ("/v1/jobs", "{}", "application/json", "unsupported_content_type"),
        ("/v1/jobs", "{}", "text/plain", "unsupported_content_type"),
        ("/v1/jobs", "", "application/json", "invalid_field"),
    ],
)  # fmt: skip
def test_the_type_of_a_body_is_what_it_says(client: Client, path: str, body: str, kind: str, code: str) -> None:  # fmt: skip
    answer = client.generic("POST", path, body, content_type=kind)
    declared = KINDS[code]
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (declared.status, code)


def test_a_compressed_body_is_no_json(client: Client, db: None) -> None:
    for coding, code in (("gzip", "unsupported_content_type"), ("identity", "invalid_field")):
        answer = client.post("/v1/caption", {}, "application/json", headers={"Content-Encoding": coding})  # fmt: skip
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("get", "/v1/jobs/no-uuid", "job_id"),
        ("post", "/v1/jobs", "skill"),
        ("get", "/api/leaderboards/colours/log?page=x", "page"),
    ],
)
def test_a_field_is_named_as_the_caller_wrote_it(
    client: Client, db: None, method: str, path: str, field: str
) -> None:
    told = getattr(client, method)(path).json()
    named = told["error"]["param"] if "error" in told else told["field"]
    assert named == field


def test_openapi_says_what_is_declared(client: Client, db: None) -> None:
    document = client.get("/api/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    continue
                shared = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
                (kind,) = shared["content"]
                assert kind == ("application/problem+json" if path.startswith("/api") else "application/json")  # fmt: skip
                codes = set(re.findall(r"^- `([a-z_]+)`", shared["description"], re.M))
                assert codes
                assert {KINDS[code].status for code in codes} == {int(status)}
    said = json.dumps(document["components"]["responses"])
    for kind in catalogue():
        assert (f"`{kind.code}`" in said) == (kind.room != "playground"), kind.code
