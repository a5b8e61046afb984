"""What the page cache keeps, and under which names: nothing that a stranger chose."""

from typing import Any

import pytest
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template import Template
from django.test import Client, RequestFactory, override_settings

from inference import page_cache, stream
from inference.page_cache import PageCache

SHELF = "/research/papers/"


def entries() -> set[bytes]:
    """The pages that Valkey holds, beside the versions of their topics."""
    keys = stream.client().scan_iter(f"{settings.CACHES['default']['KEY_PREFIX']}*pages:*")
    return {key for key in keys if b"pages:generation:" not in key}


STRANGE: list[tuple[str, dict[str, str]]] = [
    *((f"{SHELF}?tag=made-up-{n}", {}) for n in range(20)),
    *((f"{SHELF}?year={1000 + n}", {}) for n in range(20)),
    *((f"{SHELF}?page={n}", {}) for n in (0, 3, 4, 99, "01", "last", "-1", "2.0", "٢", "9" * 30)),
    *((SHELF, {"HX-Request": value}) for value in ("true", "1", "x", "y" * 50)),
    *((SHELF, {"Host": f"testserver:{n}"}) for n in range(2000, 2020)),
    *((SHELF, {"Host": host}) for host in ("TestServer", "testserver.", "TESTSERVER:80", "evil.test")),
    *((f"{SHELF}?{junk}", {}) for junk in ("&", "&&&", "&=&", "=", "page", "page=", "tag=&year=")),
    *((f"{SHELF}?page=1{tail}", {}) for tail in ("", "&page=1", "&", "&tag=", "&q=")),
    (f"{SHELF}?tag=QUANTISATION", {}), (f"{SHELF}?tag=quantisation%20", {}),
    (f"{SHELF}?tag=quantisation&year=2014", {}), (f"{SHELF}?q=lora", {}), (f"{SHELF}?utm=1", {}),
    (f"{SHELF}?PAGE=2", {}), ("/research/pape%72s/", {}), ("/%72esearch/papers/?", {}),
    (SHELF, {"Accept-Language": "de"}), (SHELF, {"Accept-Encoding": "br;q=1"}),
    (SHELF, {"Accept": "text/plain"}), (SHELF, {"X-Forwarded-Host": "evil.test"}),
    (f"{SHELF};x=1", {}), (f"{SHELF}index.html", {}), (f"/{SHELF}", {}), (f"{SHELF}/", {}),
    ("/docs/?page=2", {}), ("/docs/?tag=quantisation&year=2014", {}),
]  # fmt: skip


def test_what_strangers_make_up_makes_no_entry_beside_the_page_s_own(client, starter) -> None:
    client.get(SHELF)
    assert len(entries()) == 1
    for path, headers in STRANGE:
        assert client.get(path, headers=headers).status_code < 500
    for method in ("OPTIONS", "FOO", "get", "POST"):
        client.generic(method, SHELF)
    assert len(entries()) == 1


def test_each_strange_address_alone_makes_at_most_the_page_s_own(
    client, starter, monkeypatch
) -> None:
    # What is kept under which name does not depend on what is on the page: nothing is drawn here.
    monkeypatch.setattr(Template, "_render", lambda self, context: "")
    client.get(SHELF)
    own = entries()
    assert len(own) == 1
    for path, headers in STRANGE:
        page_cache.forget()
        client.head(path, headers=headers)
        client.get(path, headers=headers)
        assert entries() <= own, (path, headers)


def test_ways_to_write_one_address_are_one_entry(
    client, starter, django_assert_num_queries
) -> None:
    first = client.get(f"{SHELF}?page=2").content
    kept = entries()
    with django_assert_num_queries(0):
        for query in ("page=2", "&&&page=2&", "page=%32", "tag=&page=2&q=", "page=7&page=2"):
            assert client.get(f"{SHELF}?{query}").content == first
            assert client.head(f"{SHELF}?{query}").status_code == 200
        for host in ("TESTSERVER", "testserver:80", "testserver."):
            assert client.get(f"{SHELF}?page=2", headers={"Host": host}).content == first
    assert entries() == kept
    both = client.get(f"{SHELF}?year=2023&tag=fine-tuning").content
    with django_assert_num_queries(0):
        assert client.get(f"{SHELF}?tag=fine-tuning&year=2023").content == both
    assert len(entries()) == 2


def test_a_host_that_somebody_chose_is_in_no_kept_page(client, starter) -> None:
    hosts = ("evil.test", "testserver:1337", "EVIL.test:80", "testserver:443", "testServer")
    for host in hosts:
        client.get("/docs/start/quickstart/", headers={"Host": host})
    text = client.get("/docs/start/quickstart/").content.decode()
    assert not any(host in text for host in hosts)
    assert 'rel="canonical" href="http://testserver/docs/start/quickstart/"' in text
    assert len(entries()) == 1


def test_head_is_answered_from_the_entry_of_get_and_makes_none(
    client, starter, django_assert_num_queries
) -> None:
    client.head(SHELF)
    assert entries() == set()
    etag = client.get(SHELF)["ETag"]
    with django_assert_num_queries(0):
        assert client.head(SHELF)["ETag"] == etag


def answer_once(response: HttpResponse, **headers: str) -> None:
    """A marked answer through the middleware, to a reader that nothing is known of."""
    page_cache.keep(response, 60)
    PageCache(lambda _: response)(RequestFactory().get("/somewhere/", headers=headers))


def test_what_is_for_one_reader_is_not_kept(db) -> None:
    cookie = HttpResponse("mine")
    cookie.set_cookie("csrftoken", "x")
    answer_once(cookie)
    for name, value in (("Vary", "X-Partial"), ("Vary", "Cookie, Accept-Language"), ("Vary", "*"),
                        ("Cache-Control", "private"), ("Cache-Control", "max-age=0, no-store")):  # fmt: skip
        answer_once(HttpResponse("mine", headers={name: value}))
    answer_once(HttpResponse("mine", status=404))
    for name in ("Authorization", "X-Moondream-Auth"):
        answer_once(HttpResponse("mine"), **{name: "Bearer x"})
    answer_once(HttpResponse("mine"), Cookie=f"{settings.SESSION_COOKIE_NAME}=x")
    assert entries() == set()
    answer_once(HttpResponse("everybody's"))
    assert len(entries()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_page_made_while_something_is_published_is_not_kept() -> None:
    calls: list[int] = []

    def view(request: HttpRequest) -> HttpResponse:
        calls.append(1)
        response = HttpResponse("before")
        page_cache.keep(response, 60)
        return response

    serve: Any = PageCache(view)
    with transaction.atomic():
        page_cache.forget()
        serve(RequestFactory().get("/"))  # another's request, between the change and its commit
    serve(RequestFactory().get("/"))
    assert len(calls) == 2


def test_a_wildcard_among_the_hosts_keeps_nothing_under_its_names(client: Client, starter) -> None:
    with override_settings(ALLOWED_HOSTS=[".example.org", "testserver"]):
        for n in range(5):
            assert client.get("/docs/", headers={"Host": f"a{n}.example.org"}).status_code == 200
        assert entries() == set()
        client.get("/docs/")
        assert len(entries()) == 1


def test_a_page_with_a_nonce_is_not_kept(db) -> None:
    """The next reader's page would have the same one."""
    response = HttpResponse("<script nonce=…>")
    page_cache.keep(response, 60)

    def view(request: HttpRequest) -> HttpResponse:
        str(request.csp_nonce)
        return response

    PageCache(CSPMiddleware(view))(RequestFactory().get("/somewhere/"))
    assert entries() == set()
