"""Whatever is sent, the site answers: never with a 500, and what holds a NUL with a 4xx."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from moondream_site.api import api
from tests.authorisation import odd
from tests.authorisation.addresses import addresses, filled, is_admin, is_api, is_library
from tests.authorisation.cases import Case, cases, defaults, fill_for
from tests.authorisation.scene import Scene

BOUNDARY = "multipart/form-data; boundary=b"


class Asked:
    """Sends, takes back what it changed, and keeps what went wrong."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.faults, self.count = scene, list[str](), 0
        self.cookies = {name: dict(c.cookies) for name, c in scene.clients.items()}

    def __call__(self, what: str, actor: str, method: str, path: str, *, refused: bool = False, **more: Any) -> None:  # fmt: skip
        client = self.scene.clients[actor]
        headers = self.scene.headers.get(actor, {}) | more.pop("headers", {})
        self.count += 1
        try:
            with transaction.atomic():
                answer = client.generic(method, path, headers=headers, **more)
                status = answer.status_code
                if not answer.streaming:
                    answer.content  # noqa: B018  # rendered
                transaction.set_rollback(True)
        except Exception as error:  # whatever it is, it is the finding
            self.faults.append(f"{what}: raised {error!r}"[:400])
            return
        for name, value in self.cookies[actor].items():
            client.cookies[name] = value.value
        if status >= 500 or (refused and not 400 <= status < 500):
            raised = getattr(answer, "exc_info", None) or (None, "")
            self.faults.append(f"{what}: {status} {raised[1]!r}"[:400])

    def done(self) -> None:
        assert not self.faults, "\n".join([f"{len(self.faults)} of {self.count}", *self.faults])


@pytest.fixture
def asked(scene: Scene) -> Iterator[Asked]:
    made = Asked(scene)
    yield made
    made.done()


def each(
    scene: Scene, keep: Callable[[str], bool]
) -> Iterator[tuple[str, Case, str, dict[str, Any]]]:
    """Addresses in their cases: the name, the case, the path, what filled it."""
    own, values = cases(scene), defaults(scene)
    for address in addresses():
        if keep(address):
            for case in own.get(address, [Case()])[:1]:
                known = fill_for(address, case, values)
                yield address, case, filled(address, known), known


def _who(address: str) -> str:
    return "submit" if is_api(address) else ("admin" if is_admin(address) else "owner")


def _encoded(body: dict[str, Any]) -> dict[str, Any]:
    """A test client's arguments as those of `generic`."""
    from django.test.client import encode_multipart

    kind = body.get("content_type", "")
    if kind == "application/json":
        return {"data": json.dumps(body["data"]), "content_type": kind}
    return {"data": encode_multipart("b", body["data"]), "content_type": BOUNDARY}


def test_paths(asked: Asked) -> None:
    for address, case, path, known in each(asked.scene, lambda a: not is_library(a)):
        method = "POST" if "POST" in case.bodies and not is_admin(address) else "GET"
        for kind, odd_path in odd.odd_paths(address, path, known):
            more = _encoded(case.bodies["POST"]()) if method == "POST" else {}
            asked(f"{method} {address}: {kind}", _who(address), method, odd_path,
                  refused="nul" in kind, **more)  # fmt: skip


def test_paths_of_the_admins_sides(asked: Asked) -> None:
    for address, _, path, _known in each(asked.scene, is_library):
        for kind, part in (("nul", "%00"), ("long", "x" * 9000)):
            asked(f"{address}: {kind}", "admin", "GET", f"{path}{part}/", refused=True)
        if "<str:pk>" in address:
            no_number = filled(address, {"pk": "%FF", "id": 1})
            asked(f"{address}: no number", "admin", "GET", no_number, refused=True)


def test_queries(asked: Asked) -> None:
    names = odd.query_names()
    for address, case, path, _ in each(asked.scene, lambda a: not is_admin(a)):
        for kind, value in odd.ODD_TEXT.items():
            asked(f"{address}?{kind}", _who(address), "GET", path,
                  refused="nul" in kind, query_params=dict.fromkeys(names, value)
                  | {k: v for k, v in case.query.items() if kind != "nul"})  # fmt: skip
        for name in case.query:
            for kind, value in odd.ODD_TEXT.items():
                asked(f"{address}?{name}={kind}", _who(address), "GET", path,
                      query_params={**case.query, name: value})  # fmt: skip


def test_queries_of_the_admins_sides(asked: Asked) -> None:
    """Lists that search and filter, ours and the libraries'."""
    shown = 0
    for address, _, path, _known in each(asked.scene, is_admin):
        asked(f"{address}?q=nul", "admin", "GET", path, refused=True, query_params={"q": "a\x00b"})
        if is_library(address) or "<" in address or "(" in address:
            continue
        shown += 1
        for kind in ("huge", "large", "minus", "digits", "wide", "quote"):
            names = dict.fromkeys(
                ("q", "p", "page", "o", "ordering", "id", "id__exact"), odd.ODD_TEXT[kind]
            )
            asked(f"{address}?{kind}", "admin", "GET", path, query_params=names)
    assert shown > 20


def test_fields_of_forms(asked: Asked) -> None:
    names = odd.form_names()
    assert {"skill", "team", "state", "model_name", "text"} <= set(names)
    for address, case, path, _ in each(asked.scene, lambda a: not is_admin(a)):
        body = case.bodies["POST"]() if "POST" in case.bodies else {"data": {}}
        if "content_type" in body:
            continue
        for kind, value in odd.ODD_TEXT.items():
            whole = _encoded({"data": dict.fromkeys(names, value)})
            asked(f"POST {address}: all {kind}", _who(address), "POST", path, **whole)
            for field, usual in body["data"].items():
                if isinstance(usual, SimpleUploadedFile):
                    continue
                fields = {**(case.bodies["POST"]())["data"], field: value}
                asked(f"POST {address}: {field} {kind}", _who(address), "POST", path,
                      refused=kind == "nul", **_encoded({"data": fields}))  # fmt: skip


def test_fields_that_hold_json(asked: Asked) -> None:
    paths = {address: (case, path) for address, case, path, _ in each(asked.scene, lambda _: True)}
    for address, field, more in (
        ("v1/jobs", "settings", {}), ("playground/rewards/", "state", {"do": "load"}),
        ("playground/rewards/", "state", {"do": "score"}),
    ):  # fmt: skip
        case, path = paths[address]
        for value in (
            *odd.ODD_JSON,
            *(f'{{"a": {v}, "temperature": {v}}}' for v in odd.ODD_JSON),
        ):
            data = {**case.bodies["POST"]()["data"], **more, field: value}
            asked(f"{address}: {field} = {value[:40]}", _who(address), "POST", path,
                  **_encoded({"data": data}))  # fmt: skip


def test_files(asked: Asked) -> None:
    paths = {address: (case, path) for address, case, path, _ in each(asked.scene, lambda _: True)}
    lines = [f'{{"id": {v}, "answer": {v}}}'.encode() for v in odd.ODD_JSON]
    lines += [f'{{"id": "q0", "answer": {v}}}'.encode() for v in odd.ODD_JSON]
    files = [
        *odd.ODD_BODIES,
        *lines,
        b"\x1f\x8b",
        b"\x1f\x8b" + b"x" * 100,
        b"\n" * 5000,
        b"PK\x03\x04",
    ]
    for address, more in (
        ("api/leaderboards/<slug>/check", {}), ("api/leaderboards/<slug>/submissions", {}),
        ("leaderboards/<slug:slug>/submit/", {}), ("leaderboards/<slug:slug>/submit/", {"check": "1"}),
        ("v1/jobs", {}), ("playground/", {}), ("playground/rewards/", {"do": "import"}),
    ):  # fmt: skip
        case, path = paths[address]
        name = "image" if address in ("v1/jobs", "playground/") else "file"
        for content in files:
            data = {
                **case.bodies["POST"]()["data"],
                **more,
                name: SimpleUploadedFile("a.jsonl", content),
            }
            asked(f"{address}: {content[:40]!r}", _who(address), "POST", path,
                  **_encoded({"data": data}))  # fmt: skip


def test_forms_that_are_none(asked: Asked) -> None:
    parts = {
        "no boundary": ("multipart/form-data", b"x"), "no end": (BOUNDARY, b"--b\r\n"),
        "no name": (BOUNDARY, b"--b\r\nContent-Disposition: form-data\r\n\r\na\r\n--b--\r\n"),
        "file without a name": (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\na\r\n--b--\r\n'),
        "nul in a file's name": (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\x00b"\r\n\r\na\r\n--b--\r\n'),
        "long name of a file": (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + b"x" * 5000 + b'"\r\n\r\na\r\n--b--\r\n'),
        "base64 that is none": (BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--b--\r\n'),
        "unknown charset": ("application/x-www-form-urlencoded; charset=no-such", b"a=b"),
        "utf-7": ("application/x-www-form-urlencoded; charset=utf-7", b"a=%00"),
        "many fields": ("application/x-www-form-urlencoded", b"&".join(b"a=b" for _ in range(3000))),
        "not utf-8": ("application/x-www-form-urlencoded", b"skill=%ff%fe&\xff=\xfe"),
        "an array": ("application/json", b"[1]"), "nothing": ("", b""), "text": ("text/plain", b"a"),
        "odd type": ("a\xffb;;=", b"a"),
    }  # fmt: skip
    for address, case, path, _ in each(asked.scene, lambda a: not is_admin(a)):
        if "POST" not in case.bodies:
            continue
        for kind, (content_type, data) in parts.items():
            asked(f"POST {address}: {kind}", _who(address), "POST", path, data=data,
                  content_type=content_type)  # fmt: skip


def test_bodies_of_the_api(asked: Asked) -> None:
    schema, tried = api.get_openapi_schema(path_prefix=""), 0
    for address, case, path, _ in each(asked.scene, is_api):
        for method, body in case.bodies.items():
            usual = body()
            if usual.get("content_type") != "application/json":
                continue
            for data in odd.ODD_BODIES:
                asked(f"{method} {address}: {data[:20]!r}", _who(address), method, path, data=data,
                      content_type="application/json")  # fmt: skip
            for field in {*usual["data"], *odd.json_fields(schema, address)}:
                tried += 1
                for value in odd.ODD_JSON:
                    rest = {k: v for k, v in usual["data"].items() if k != field}
                    text = f"{json.dumps(rest)[:-1]}{', ' if rest else ''}{json.dumps(field)}: {value}}}"
                    asked(f"{method} {address}: {field} = {value[:20]}", _who(address), method, path,
                          data=text, content_type="application/json",
                          refused="\\u0000" in value or "\\ud800" in value)  # fmt: skip
    assert tried > 40


def test_headers(asked: Asked) -> None:
    picked = (
        "v1/jobs", "v1/jobs/<job_id>/events", "api/leaderboards/<slug>/submissions",
        "api/leaderboards/submissions/<submission_id>/events", "leaderboards/<slug:slug>/", "account/",
        "feeds/<slug:kind>.rss", r"^((?:[\w\-]+/)*)$", r"^documents/(\d+)/(.*)$", "healthz",
    )  # fmt: skip
    for address, case, path, _ in each(asked.scene, lambda a: a in picked):
        method = "POST" if is_api(address) and "POST" in case.bodies else "GET"
        for header in odd.HEADERS:
            for value in odd.ODD_HEADERS:
                more = _encoded(case.bodies["POST"]()) if method == "POST" else {}
                if header.startswith("Content-"):
                    more["content_type"] = value if header == "Content-Type" else BOUNDARY
                asked(f"{method} {address} {header}: {value[:12]!r}", _who(address), method, path,
                      headers={header: value}, **more,
                      # Without a proxy that is trusted nobody reads this one.
                      refused="\x00" in value and header != "X-Forwarded-For")  # fmt: skip


def test_a_cookie_that_cannot_be_read_is_none(scene: Scene) -> None:
    from django.test import Client

    for value in ('"\\000"', '"a\\000b"', "x" * 4000, "é", ""):
        for cookie in ("sessionid", "csrftoken", "messages"):
            answer = Client(raise_request_exception=False).get(
                "/account/", headers={"Cookie": f"{cookie}={value}"}
            )
            assert answer.status_code == 302, (cookie, value, answer.status_code)
