"""Another server of this API as a variant, against a real one that does whatever a server may do."""

import datetime
import email.utils
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from PIL import Image

from inference import backends, errors, sealing, selectors, services, stream
from inference.backends.base import Finished, Found, Request, Stage, Token
from inference.backends.remote import RemoteBackend
from inference.errors import DomainError
from inference.models import Job, RemoteServer, Variant
from inference.remote import Link, address_read, probe
from inference.remote.link import is_near
from inference.world.samples import sample_bytes

KEY = "sk-very-secret-0123456789"
ROW = {"slug": "tiny", "revision": "r1", "default": True, "parameters": 7, "weight_bytes": 14,
       "precision": "FP16", "world": "Knows shapes."}  # fmt: skip
Reply = Callable[["_Handler", dict[str, Any]], None]


class _Handler(BaseHTTPRequestHandler):
    server: "Server"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._do({})

    def do_POST(self) -> None:
        self._do(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))

    def _do(self, body: dict[str, Any]) -> None:
        path = self.path.removeprefix("/v1")
        self.server.asked.append((path, body, dict(self.headers)))
        reply = self.server.replies.get(path)
        if reply is None:
            self.send(404, {"error": {"code": "not_found"}})
        elif body == {} and path != "/variants":
            self.send(422, {"error": {"code": "question_required"}})
        else:
            try:
                reply(self, body)
            except (BrokenPipeError, ConnectionResetError):
                self.server.left.set()

    def send(self, status: int, body: Any, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def lines(self, *lines: bytes, every_s: float = 0.0) -> None:
        self.send_response(200)
        self.end_headers()
        for line in lines:
            self.wfile.write(line + b"\n\n")
            self.wfile.flush()
            time.sleep(every_s)


def event(chunk: Any, completed: bool = False, **more: Any) -> bytes:
    return b"data: " + json.dumps({"chunk": chunk, "completed": completed, **more}).encode()


class Server(ThreadingHTTPServer):
    """Answers each path as the test wants."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.left = threading.Event()
        self.replies: dict[str, Reply] = {
            "/variants": lambda h, _: h.send(200, [ROW]),
            "/caption": lambda h, _: h.lines(b": waiting", event("A small"), event(" dog"), event("", True)),
            "/query": lambda h, _: h.lines(event("It is red.", False), event("", True, finish_reason="length")),
            "/detect": lambda h, _: h.send(200, {
                "objects": [{"x_min": -0.5, "y_min": 0.1, "x_max": 0.9, "y_max": 2, "extra": "x"}],
                "confidence": 0.5, "metrics": {"input_tokens": 5, "output_tokens": 4},
            }),
            "/point": lambda h, _: h.send(200, {"points": [{"x": 0.25, "y": 0.75}]}),
        }  # fmt: skip

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def stream(self, *lines: bytes, **more: float) -> None:
        self.replies["/query"] = lambda h, _: h.lines(*lines, **more)

    def whole(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        self.replies[path] = lambda h, _: h.send(status, body, **headers)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(server: Server, skill: str = "query", *, image: bool = True, **params: Any) -> list[Any]:
    backend = RemoteBackend(Link(server.address, KEY, "tiny"))
    given = {"question": "What?", "object": "star", "settings": {}} | params
    opened = (lambda: Image.new("RGB", (40, 20), "red")) if image else None
    return list(backend.answer(Request(skill, given, open_image=opened)))


def text_of(events: list[Any]) -> str:
    return "".join(e.text for e in events if isinstance(e, Token))


# Asking


def test_a_caption_comes_in_the_server_s_own_pieces(server: Server) -> None:
    events = ask(server, "caption", length="long", settings={"temperature": 0.5})
    assert [e.text for e in events if isinstance(e, Token)] == ["A small", " dog"]
    assert [e.name for e in events if isinstance(e, Stage)] == ["sending", "waiting", "decoding"]
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.result == {"caption": "A small dog"}
    assert last.timings["first_token_ms"] <= last.timings["total_ms"]
    path, body, headers = server.asked[-1]
    assert (path, body["length"], body["stream"], body["model"]) == (
        "/caption",
        "long",
        True,
        "tiny",
    )
    assert body["settings"] == {"temperature": 0.5}
    assert body["image_url"].startswith("data:image/jpeg;base64,/9j/")
    assert headers["X-Moondream-Auth"] == KEY
    assert headers["Accept-Encoding"] == "identity"


def test_boxes_and_points_are_on_the_image(server: Server) -> None:
    *_, found, last = ask(server, "detect")
    box = {"x_min": 0.0, "y_min": 0.1, "x_max": 0.9, "y_max": 1.0}
    assert found == Found("object", box)
    assert (last.result, last.confidence, last.tokens) == (
        {"objects": [box]}, 0.5, {"prompt": 5, "completion": 4},
    )  # fmt: skip
    assert ask(server, "point")[-1].result == {"points": [{"x": 0.25, "y": 0.75}]}


def test_a_question_may_have_no_image_and_an_answer_its_reasons(server: Server) -> None:
    events = ask(server, image=False, spatial_refs=[[0.1, 0.2]])
    assert events[-1].finish_reason == "length"
    assert "image_url" not in server.asked[-1][1]
    assert server.asked[-1][1]["spatial_refs"] == [[0.1, 0.2]]
    reasons = {"text": "Because.", "grounding": []}
    server.whole("/query", {"answer": "Two.", "reasoning": reasons})
    events = ask(server, reasoning=True)
    assert events[-1].result == {"answer": "Two.", "reasoning": reasons}
    assert text_of(events) == "Two."
    assert server.asked[-1][1].get("stream") is None


@pytest.mark.parametrize(
    "lines",
    [
        (event("It"),), (), (event("It"), b"data: {nonsense"), (event("It"), b"data: [DONE]"), (event(7),),
        (event(None),), (b"data: []",), (b"data: " + b"x" * 70_000,), (b"x" * 70_000,),
        (b'data: {"chunk": NaN}',), (b"data: " + b"[" * 5000,), (b'data: {"chunk": "\\ud800"}',),
        (event("It"), b"data: stream failed: internal_error: " + KEY.encode()),
        (event("It"), b"data: stream failed: no_such_code: " + KEY.encode()), tuple(event("x" * 60_000) for _ in range(80)),
    ],
    ids=[
        "cut off", "nothing", "no JSON", "the end of another API", "a number", "null", "a list", "a long event",
        "a long line", "NaN", "a deep nest", "half a character", "a fault", "an unknown fault", "endless",
    ],
)  # fmt: skip
def test_a_stream_that_goes_wrong_is_a_fault_and_no_short_answer(
    server: Server, lines: tuple[bytes, ...]
) -> None:
    server.stream(*lines)
    with pytest.raises(DomainError) as caught:
        ask(server)
    assert caught.value.code == "remote_fault"
    assert KEY not in caught.value.whole


def test_a_refusal_within_a_stream_is_told_in_our_words(server: Server) -> None:
    server.stream(b"data: stream failed: unsupported_reasoning: " + KEY.encode())
    with pytest.raises(DomainError) as caught:
        ask(server)
    assert caught.value.code == "unsupported_reasoning"
    assert KEY not in caught.value.whole


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>", b"", b"[]", b"{}", b"null", b'{"objects": {}}', b'{"objects": [[]]}', b'{"objects": [{"x_min": 0}]}',
        b'{"objects": [{"x_min": "0", "y_min": 0, "x_max": 1, "y_max": 1}]}',
        b'{"objects": [{"x_min": true, "y_min": 0, "x_max": 1, "y_max": 1}]}',
        b'{"objects": [{"x_min": 1e400, "y_min": 0, "x_max": 1, "y_max": 1}]}',
        b'{"objects": [' + b",".join([b'{"x_min":0,"y_min":0,"x_max":1,"y_max":1}'] * 1001) + b"]}",
        b'{"objects": []' + b" " * (5 * 2**20) + b"}",
    ],
)  # fmt: skip
def test_garbage_is_a_fault(server: Server, answer: bytes) -> None:
    server.whole("/detect", answer)
    with pytest.raises(DomainError) as caught:
        ask(server, "detect")
    assert caught.value.code == "remote_fault"


def test_what_is_compressed_is_not_unpacked(server: Server) -> None:
    server.whole("/detect", b"\x1f\x8b" + b"0" * 50, Content_Encoding="gzip")
    with pytest.raises(DomainError, match="compressed"):
        ask(server, "detect")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "remote_unauthorised"), (403, "remote_unauthorised"), (400, "remote_refused"), (404, "remote_refused"),
        (413, "remote_refused"), (429, "remote_busy"), (500, "remote_fault"), (503, "remote_fault"),
        (301, "remote_fault"), (307, "remote_fault"), (204, "remote_fault"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("skill", ["query", "detect"])
def test_every_status_has_its_words(server: Server, status: int, code: str, skill: str) -> None:
    server.whole(f"/{skill}", b"" if status == 204 else f'"{KEY}"'.encode(), status, Location=f"{server.address}/point")  # fmt: skip
    with pytest.raises(DomainError) as caught:
        ask(server, skill)
    assert caught.value.code == code
    assert caught.value.hint
    assert KEY not in caught.value.whole
    assert "/point" not in server.paths(), "a redirect is not followed"


def test_a_refusal_of_a_kind_we_know_is_that_kind(server: Server) -> None:
    server.whole("/query", {"error": {"code": "unsupported_reasoning", "message": KEY}}, 400)
    with pytest.raises(DomainError) as caught:
        ask(server)
    assert caught.value.code == "unsupported_reasoning"
    codes: tuple[Any, ...] = (
        "internal_error",
        "mfa_required",
        "remote_unauthorised",
        [],
        "x" * 9999,
    )
    for code in codes:
        server.whole("/query", {"error": {"code": code}}, 400)
        with pytest.raises(DomainError) as caught:
            ask(server)
        assert caught.value.code == "remote_refused"


# Waiting


def busy(server: Server, times: int, after: str, status: int = 429) -> None:
    """The first so many questions are asked to come again."""
    answers = server.replies["/query"]

    def reply(handler: _Handler, body: dict[str, Any]) -> None:
        if sum(path == "/query" and bool(sent) for path, sent, _ in server.asked) <= times:
            handler.send(status, {}, Retry_After=after)
        else:
            answers(handler, body)

    server.replies["/query"] = reply


@pytest.mark.parametrize(("after", "status"), [("1", 429), ("0", 503), ("0.3", 429)])
def test_it_comes_again_when_it_is_asked_to(server: Server, after: str, status: int) -> None:
    busy(server, 2, after, status)
    started = time.monotonic()
    events = ask(server)
    assert text_of(events) == "It is red."
    assert time.monotonic() - started >= 2 * float(after)
    assert [e.name for e in events if isinstance(e, Stage)].count("sending") == 1


def test_a_date_says_when_as_well(server: Server) -> None:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    busy(server, 1, email.utils.format_datetime(when, usegmt=True))
    started = time.monotonic()
    assert text_of(ask(server)) == "It is red."
    assert 0.5 < time.monotonic() - started < 4


@pytest.mark.parametrize("after", ["120", "inf", "nan", "soon", ""])
def test_it_does_not_wait_for_long_or_for_nonsense(server: Server, after: str) -> None:
    busy(server, 99, after)
    started = time.monotonic()
    with pytest.raises(DomainError) as caught:
        ask(server)
    assert caught.value.code == "remote_busy"
    assert caught.value.retry_after == (120 if after == "120" else 60)
    assert time.monotonic() - started < 2


def test_one_that_always_says_now_is_not_asked_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.backends.remote.PATIENCE_S", 0.5)
    busy(server, 10**6, "0")
    with pytest.raises(DomainError) as caught:
        ask(server)
    assert caught.value.code == "remote_busy"
    assert len(server.asked) < 8


def test_a_server_that_says_nothing_is_given_up(server: Server, settings: Any) -> None:
    settings.INFERENCE_REMOTE_READ_S = 0.3
    for path in ("/query", "/detect"):
        server.replies[path] = lambda h, _: time.sleep(1)
    for skill in ("query", "detect"):
        started = time.monotonic()
        with pytest.raises(DomainError) as caught:
            ask(server, skill)
        assert caught.value.code == "remote_unreachable"
        assert time.monotonic() - started < 0.9
    server.stream(event("It"), event(" is", True), every_s=0.6)
    with pytest.raises(DomainError, match="in time"):
        ask(server)


def test_one_that_is_slow_but_speaks_is_waited_for(server: Server, settings: Any) -> None:
    settings.INFERENCE_REMOTE_READ_S = 0.5
    server.stream(*[b": waiting"] * 4, event("It"), event("", True), every_s=0.2)
    assert text_of(ask(server)) == "It"


def test_one_that_is_away(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        backend = RemoteBackend(Link(address))
        with pytest.raises(DomainError) as caught:
            list(backend.answer(Request("query", {"question": "What?"})))
    assert caught.value.code == "remote_unreachable"


def test_whoever_leaves_hangs_up(server: Server) -> None:
    server.stream(*[event("word ") for _ in range(200)], every_s=0.02)
    answer = RemoteBackend(Link(server.address)).answer(Request("query", {"question": "What?"}))
    for one in answer:
        if isinstance(one, Token):
            break
    answer.close()  # type: ignore[attr-defined]
    assert server.left.wait(3)


# Addresses


@pytest.mark.parametrize(
    "address",
    ["", "localhost:2020/v1", "ftp://x/v1", "http://", "http://:80/v1", "http://user:pw@x/v1", "http://x/v1?key=1",
     "http://x/v1#a", "http://x y/v1", "http://x/\nv1", "http://x:99999/v1", "http://x:0/v1", "http://[::1/v1",
     "javascript:alert(1)", "file:///etc/passwd", "http://x/" + "v" * 300, "http://x/v1?", "http://localhost:8000/v1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        address_read(address)


def test_addresses_have_one_form() -> None:
    assert address_read(" http://localhost:2020/v1/ ") == "http://localhost:2020/v1"
    assert address_read("https://api.example.org/v1") == "https://api.example.org/v1"


@pytest.mark.parametrize(
    ("host", "near"), [("127.0.0.1", True), ("10.1.2.3", True), ("[::1]", True), ("8.8.8.8", False)]
)
def test_who_is_near(host: str, near: bool) -> None:
    assert is_near(f"http://{host}/v1") is near


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1", "[::ffff:169.254.169.254]", "[::]"]
)  # fmt: skip
def test_a_network_s_own_services_are_not_asked(host: str) -> None:
    with pytest.raises(DomainError) as caught:
        probe(Link(f"http://{host}/v1"))
    assert caught.value.code == "remote_unreachable"


# Looking


def test_a_hub_says_what_it_has_and_nothing_is_spent(server: Server) -> None:
    del server.replies["/point"]
    found = probe(Link(server.address, KEY))
    assert (found.model, found.revision, found.parameters, found.lacks) == (
        "tiny",
        "r1",
        7,
        ["point"],
    )
    assert all(body == {} for _, body, _ in server.asked)


def test_a_server_that_lists_nothing_is_looked_at_by_its_skills(server: Server) -> None:
    lists: tuple[Any, ...] = (None, {"models": []}, [], ["x"], [{"name": 1}])
    for listed in lists:
        if listed is None:
            del server.replies["/variants"]
        else:
            server.whole("/variants", listed)
        found = probe(Link(server.address))
        assert (found.model, found.revision, found.lacks) == ("", "", [])


def test_what_is_no_server_of_this_api(server: Server) -> None:
    server.replies.clear()
    with pytest.raises(DomainError, match="No skill is found there"):
        probe(Link(server.address))


@pytest.mark.parametrize(
    ("link", "code"),
    [({"model": "huge"}, "remote_refused"), ({"pinned": "r0"}, "remote_revision"), ({"model": "far"}, "remote_refused")],
)  # fmt: skip
def test_a_model_that_is_not_there(server: Server, link: dict[str, str], code: str) -> None:
    server.whole(
        "/variants", [ROW, {**ROW, "slug": "far", "precision": "remote", "default": False}]
    )
    with pytest.raises(DomainError) as caught:
        probe(Link(server.address, **link))
    assert caught.value.code == code


def test_a_key_that_is_not_taken(server: Server) -> None:
    server.whole("/caption", {}, 401)
    server.replies["/caption"] = lambda h, _: h.send(401, {})
    for path in list(server.replies):
        server.replies[path] = lambda h, _: h.send(401, {})
    with pytest.raises(DomainError) as caught:
        probe(Link(server.address, KEY))
    assert caught.value.code == "remote_unauthorised"


def test_names_of_a_stranger_are_short_and_printable(server: Server) -> None:
    server.whole(
        "/variants", [{**ROW, "revision": "r\n\x00" + "x" * 500, "parameters": -1, "world": ["x"]}]
    )
    found = probe(Link(server.address))
    assert len(found.revision) == 80
    assert found.revision.isprintable()
    assert (found.parameters, found.world) == (None, "")


# As a variant


@pytest.fixture
def variant(db: None, server: Server, settings: Any, tmp_path: Any) -> Variant:
    settings.IMAGE_STORE_DIR = tmp_path
    settings.INFERENCE_VARIANTS_KEPT_S = 0
    backends._remote.cache_clear()
    link = services.link_read(address=server.address, key=KEY)
    return services.remote_save(server=RemoteServer(name="Other hub"), link=link, found=probe(link))


def run(skill: str = "caption", **params: Any) -> Job:
    job = services.job_submit(
        skill=skill, variant_slug="other-hub", params=params, caller="t",
        image=services.image_store(data=sample_bytes("night")),
    )  # fmt: skip
    services.job_run(job_id=job.id, worker="w")
    job.refresh_from_db()
    return job


def test_a_job_is_answered_there_with_the_usual_events(variant: Variant, server: Server) -> None:
    assert (variant.slug, variant.revision, variant.precision) == ("other-hub", "r1", "remote")
    job = run()
    assert job.status == Job.Status.SUCCEEDED, job.error_message
    history = stream.history(job.id)
    assert [e.data["text"] for e in history if e.type == "token"] == ["A small", " dog"]
    assert history[-1].type == "result"
    assert (run("detect", object="star").result or {})["objects"]
    server.stream(event("It"))
    failed = run("query", question="What?")
    assert (failed.status, failed.error_code) == (Job.Status.FAILED, "remote_fault")


def test_another_revision_is_noted_or_refused(variant: Variant, server: Server) -> None:
    run()
    server.whole("/variants", [{**ROW, "revision": "r2"}])
    backends._remote.cache_clear()  # as another worker, or some minutes later
    run()
    variant.refresh_from_db()
    assert variant.revision == "r2"
    known = RemoteServer.objects.get()
    known.pinned = "r2"
    known.save()
    assert run().status == Job.Status.SUCCEEDED
    server.whole("/variants", [{**ROW, "revision": "r3"}])
    backends._remote.cache_clear()
    job = run()
    assert (job.status, job.error_code) == (Job.Status.FAILED, "remote_revision")
    variant.refresh_from_db()
    assert variant.revision == "r2"


def test_what_it_cannot_do_is_refused_before_it_is_queued(variant: Variant, server: Server) -> None:
    del server.replies["/point"]
    services.remote_check(server=RemoteServer.objects.get())
    with pytest.raises(DomainError) as caught:
        run("point", object="star")
    assert caught.value.code == "unsupported_skill"


def test_a_hub_asked_by_a_hub_answers_by_what_it_runs_itself(
    variant: Variant, client: Client
) -> None:
    body = {"image_url": "data:image/png;base64,AAAA", "variant": "other-hub"}
    answer = client.post("/v1/caption", body, content_type="application/json", headers={"Via": "1.1 moondream-hub"})  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "remote_twice"


def test_the_key_is_kept_sealed_and_shown_nowhere(
    variant: Variant, admin_client: Client, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    row = RemoteServer.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM inference_remoteserver")
        assert KEY not in str(cursor.fetchall())
    assert sealing.unseal(row.sealed_key) == KEY
    assert KEY not in repr(services.remote_link(server=row))
    kept = RemoteServer.snippet_viewset  # type: ignore[attr-defined]
    pages = [reverse(kept.get_url_name(n), args=a) for n, a in (("list", []), ("edit", [row.pk]), ("inspect", [row.pk]), ("history", [row.pk]))]  # fmt: skip
    for page in [*pages, f"{pages[0]}?export=csv"]:
        answer = admin_client.get(page)
        assert answer.status_code == 200, page
        text = (
            b"".join(answer.streaming_content).decode()
            if answer.streaming
            else answer.content.decode()
        )  # type: ignore[attr-defined]
        assert KEY not in text
        assert row.sealed_key not in text
    server.whole("/caption", {}, 401)
    run()
    assert KEY not in caplog.text


def test_a_new_secret_key_opens_what_the_former_sealed(settings: Any) -> None:
    sealed = sealing.seal(KEY)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another" * 10
    assert sealing.unseal(sealed) == KEY
    settings.SECRET_KEY_FALLBACKS = []
    assert sealing.unseal(sealed) is None
    with pytest.raises(DomainError, match="entered again"):
        services.remote_link(server=RemoteServer(address="http://x/v1", sealed_key=sealed))
    assert (sealing.seal(""), sealing.unseal("")) == ("", "")


# In the admin, by command, by setting


def form(server: Server, **more: str) -> dict[str, str]:
    return {
        "name": "Other hub",
        "address": server.address,
        "key": "",
        "model": "",
        "pinned": "",
        **more,
    }


def test_an_admin_adds_changes_and_removes_one(
    starter: Any, admin_client: Client, server: Server, settings: Any
) -> None:
    settings.INFERENCE_VARIANTS_KEPT_S = 0
    viewset = RemoteServer.snippet_viewset  # type: ignore[attr-defined]
    add = reverse(viewset.get_url_name("add"))
    for wrong, said in (
        ({"address": "localhost:2020"}, "Begin with http"), ({"model": "huge"}, "no model"),
        ({"pinned": "r0"}, "is pinned"), ({"key": "a\u00e9"}, "printable ASCII"),
        ({"address": "http://169.254.169.254/v1"}, "cannot be reached"),
    ):  # fmt: skip
        assert said in admin_client.post(add, form(server, **wrong)).content.decode()
    assert not RemoteServer.objects.exists()
    assert not Variant.objects.filter(backend="remote").exists()
    assert admin_client.post(add, form(server, key=KEY)).status_code == 302
    row = RemoteServer.objects.get()
    assert row.variant is not None
    assert services.remote_link(server=row).key == KEY
    assert selectors.variant_get("other-hub").revision == "r1"

    edit = reverse(viewset.get_url_name("edit"), args=[row.pk])
    assert admin_client.post(edit, form(server, pinned="r1")).status_code == 302
    assert services.remote_link(server=RemoteServer.objects.get()).key == KEY, (
        "an empty field keeps it"
    )
    elsewhere = Server()
    threading.Thread(target=elsewhere.serve_forever, args=(0.02,), daemon=True).start()
    try:
        moved = admin_client.post(edit, form(server, address=elsewhere.address))
        assert "Enter the key again" in moved.content.decode()
        assert not elsewhere.asked, "nobody gets a key by changing where it is sent"
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()
    assert admin_client.post(edit, form(server, no_key="on")).status_code == 302
    assert services.remote_link(server=RemoteServer.objects.get()).key == ""

    def act(action: str) -> str:
        address = reverse("wagtail_bulk_action", args=["inference", "remoteserver", action])
        asked = f"{address}?id={row.pk}&next={reverse(viewset.get_url_name('list'))}"
        assert admin_client.get(asked).status_code == 200
        return admin_client.post(asked, {}, follow=True).content.decode()

    server.whole("/variants", [{**ROW, "revision": "r1"}])
    assert "looked at" in act("check")
    services.variant_make_default(variant=row.variant)
    assert "make another one the default first" in act("remove_remote")
    services.variant_make_default(variant=Variant.objects.get(slug="moondream-embedded-fp16"))
    assert "removed" in act("remove_remote")
    assert not RemoteServer.objects.exists()
    assert not Variant.objects.filter(backend="remote").exists()


def test_one_whose_answers_are_kept_is_not_asked_any_more(variant: Variant) -> None:
    job = run()
    services.remote_remove(server=RemoteServer.objects.get())
    variant.refresh_from_db()
    assert not variant.enabled
    assert Job.objects.filter(pk=job.pk).exists()


def test_by_command(db: None, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    out = StringIO()
    call_command(
        "models",
        "remote",
        server.address,
        "--name",
        "Other hub",
        "--key-from",
        "OTHER_KEY",
        stdout=out,
    )
    assert out.getvalue().split() == ["other-hub", "tiny", "r1"]
    assert services.remote_link(server=RemoteServer.objects.get()).key == KEY
    with pytest.raises(CommandError, match="no model"):
        call_command("models", "remote", server.address, "--model", "huge")


def test_by_setting(db: None, server: Server, settings: Any) -> None:
    settings.INFERENCE_VARIANTS_KEPT_S = 0
    settings.INFERENCE_REMOTE_URL, settings.INFERENCE_REMOTE_KEY = server.address, KEY
    assert "remote-server" in {v.slug for v in services.variants_sync()}
    settings.INFERENCE_REMOTE_URL = "http://127.0.0.1:9/v1"  # away: the start does not wait for it
    assert "remote-server" in {v.slug for v in services.variants_sync()}
    settings.INFERENCE_REMOTE_URL = ""
    assert "remote-server" not in {v.slug for v in services.variants_sync()}
    settings.INFERENCE_REMOTE_URL = "nonsense"
    with pytest.raises(DomainError, match="Begin with"):
        services.variants_sync()


def test_every_error_has_a_way_out() -> None:
    for kind in (
        errors.REMOTE_BUSY,
        errors.REMOTE_FAULT,
        errors.REMOTE_REVISION,
        errors.REMOTE_UNREACHABLE,
    ):
        assert "choose a variant that runs here" in kind.hint.lower()
