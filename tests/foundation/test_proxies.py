"""Who the client is, whatever the request says."""

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from inference import addresses
from moondream_site import asgi, proxies

PEER = "198.51.100.1"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", None), ("unknown", None), ("_hidden", None), ("203.0.113.7:", None), ("[", None),
        ("[2001:db8::1", None), ("[2001:db8::1]x", None), ("203.0.113.256", None),
        ("203.0.113.7:99999999", None), ("1" * 10_000, None), ("٣.٣.٣.٣", None), ("\x00", None),
    ],
)  # fmt: skip
def test_an_address_is_read_as_proxies_write_it(text: str, read: str | None) -> None:
    assert addresses.read(text) == read


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("2002:cb00:7107:1::1", "203.0.113.7"),
        ("", "unknown"),
        ("garbage", "unknown"),
    ],
)
def test_what_an_address_counts_as(address: str, counted: str) -> None:
    assert addresses.network(address) == counted


CASES: list[tuple[int, list[str], str]] = [
    (0, [], PEER),
    (0, ["203.0.113.7"], PEER),
    (0, ["203.0.113.7, 203.0.113.8", "203.0.113.9"], PEER),
    (1, [], PEER),
    (1, ["203.0.113.7"], "203.0.113.7"),
    (1, ["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
    (1, ["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
    (1, ["1.1.1.1,[2001:db8::1]:99"], "2001:db8::1"),
    (1, ["1.1.1.1, "], PEER),
    (1, ["1.1.1.1, nonsense"], PEER),
    (1, [",,,,"], PEER),
    (2, ["203.0.113.7"], PEER),
    (2, ["1.1.1.1, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
    (2, ["203.0.113.7, 10.0.0.1"], "203.0.113.7"),
    (1, ["," * 60_000], PEER),
]


def _scope(lines: list[str], **more: Any) -> dict[str, Any]:
    headers = [(b"host", b"testserver"), *((b"x-forwarded-for", line.encode()) for line in lines)]
    return {
        "type": "http", "method": "GET", "path": "/healthz", "query_string": b"",
        "scheme": "http", "client": (PEER, 5000), "headers": headers, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("count", "lines", "client"), CASES)
def test_the_client_by_the_number_of_proxies(settings, count, lines, client) -> None:
    settings.TRUSTED_PROXIES = count
    scope = _scope(lines)
    proxies.settle(scope)
    assert scope["client"][0] == client
    assert [name for name, _ in scope["headers"]] == [b"host"]
    # The same for a request that comes another way.
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    forwarded = {"HTTP_X_FORWARDED_FOR": ",".join(lines)} if lines else {}
    proxies.TrustedProxies(view)(RequestFactory().get("/", REMOTE_ADDR=PEER, **forwarded))
    assert seen[0].META["REMOTE_ADDR"] == client
    assert not [name for name in seen[0].META if "FORWARDED" in name]


@pytest.mark.parametrize(
    ("count", "said", "scheme"),
    [
        (0, "https", "http"), (1, "https", "https"), (1, "HTTPS ", "https"), (1, "ftp", "http"),
        (1, "", "http"), (1, "https, http", "http"), (2, "https, http", "https"), (2, "https", "https"),
    ],
)  # fmt: skip
def test_the_scheme_by_the_number_of_proxies(settings, count, said, scheme) -> None:
    settings.TRUSTED_PROXIES = count
    scope = _scope([])
    scope["headers"].append((b"x-forwarded-proto", said.encode()))
    proxies.settle(scope)
    assert scope["scheme"] == scheme
    secure: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        secure.append(request.is_secure())
        return HttpResponse()

    proxies.TrustedProxies(view)(RequestFactory().get("/", HTTP_X_FORWARDED_PROTO=said))
    assert secure == [scheme == "https"]


def test_nothing_else_that_names_an_address_gets_through(settings) -> None:
    settings.TRUSTED_PROXIES = 1
    scope = _scope(["203.0.113.7"])
    names = [b"X-Real-IP", b"forwarded", b"x_forwarded_for", b"X_Real_IP", b"x-forwarded-host"]
    scope["headers"] += [(name, b"9.9.9.9") for name in names]
    proxies.settle(scope)
    assert scope["client"] == ("203.0.113.7", 0)
    assert scope["headers"] == [(b"host", b"testserver")]


def test_a_socket_file_has_no_peer(settings) -> None:
    for count, client in ((0, None), (1, ("203.0.113.7", 0))):
        settings.TRUSTED_PROXIES = count
        scope = _scope(["203.0.113.7"], client=None)
        proxies.settle(scope)
        assert scope["client"] == client


def test_the_application_settles_each_request(settings) -> None:
    settings.TRUSTED_PROXIES = 1
    scope = _scope(["203.0.113.7"])
    sent: list[Any] = []

    bodies = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        return bodies.pop() if bodies else await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asgi.application(scope, receive, send))
    assert sent[0]["status"] == 200
    assert scope["client"][0] == "203.0.113.7"  # what uvicorn's log shows, too


def test_uvicorn_does_not_read_the_headers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started plainly it would believe them from loopback, where a proxy may stand."""
    from uvicorn import Config, config
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    monkeypatch.setattr(config, "ProxyHeadersMiddleware", ProxyHeadersMiddleware)
    started = Config("moondream_site.asgi:application", lifespan="off")
    proxies.take_over()  # as when the application is imported
    started.load()
    assert not isinstance(started.loaded_app, ProxyHeadersMiddleware)


def test_accounts_count_the_same_address(settings) -> None:
    """What allauth counts logins by follows the one setting."""
    from allauth.core.internal.ratelimit import get_ip

    settings.TRUSTED_PROXIES = 1
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(get_ip(request))
        return HttpResponse()

    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR="1.1.1.1, 203.0.113.7")
    proxies.TrustedProxies(view)(request)
    assert seen == ["203.0.113.7"]
