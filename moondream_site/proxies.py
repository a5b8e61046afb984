"""Who the client is behind `TRUSTED_PROXIES` proxies: the one place that reads forwarding headers.

Each proxy appends to `X-Forwarded-For` the address that connected to it, so of n trusted proxies the
n-th address from the right is the client's; what stands left of it the client wrote itself. The
headers are dropped here, so nothing behind can believe them: everything reads the connection's
address and scheme. A trusted proxy must pass `Host` on and set `X-Forwarded-For` and
`X-Forwarded-Proto`.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from uvicorn import config

from inference import addresses

FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"
DROPPED = frozenset(
    {
        FOR, PROTO, "x-forwarded-host", "x-forwarded-port", "x-forwarded-server", "x-forwarded-ssl",
        "x-forwarded-scheme", "x-forwarded-prefix", "x-forwarded-protocol", "x-forwarded", "forwarded",
        "forwarded-for", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip",
        "cf-connecting-ip", "x-url-scheme", "front-end-https",
    }
)  # fmt: skip


def client_of(peer: str | None, forwarded: str, proxies: int) -> str | None:
    """The client's address: the one that connected, or what the outermost trusted proxy saw.

    Args:
        peer: the address that connected; None through a socket file.
        forwarded: `X-Forwarded-For`, its lines joined with commas.
        proxies: how many proxies stand in front.

    Fewer addresses than proxies, or one that is none, name nobody: then the peer counts.
    """
    hops = forwarded.split(",")
    if proxies < 1 or len(hops) < proxies:
        return peer
    return addresses.read(hops[-proxies]) or peer


def scheme_of(used: str, forwarded: str, proxies: int) -> str:
    """http or https: of the connection, or what the outermost trusted proxy says."""
    said = [part.strip().lower() for part in forwarded.split(",")]
    told = said[-min(proxies, len(said))] if proxies > 0 else ""
    return told if told in ("http", "https") else used


def settle(scope: MutableMapping[str, Any]) -> None:
    """Set the client and the scheme of an HTTP request's ASGI scope, and drop forwarding headers.

    The scope itself is changed, so that the server's log of requests tells the same client.
    """
    proxies = settings.TRUSTED_PROXIES
    kept: list[tuple[bytes, bytes]] = []
    said: dict[str, list[str]] = {FOR: [], PROTO: []}
    for name, value in scope["headers"]:
        plain = name.decode("latin-1").lower().replace("_", "-")
        if plain not in DROPPED:
            kept.append((name, value))
        elif b"_" not in name and plain in said:
            said[plain].append(value.decode("latin-1"))
    peer, port = scope.get("client") or (None, 0)
    client = client_of(peer, ",".join(said[FOR]), proxies)
    scope["headers"] = kept
    if client is not None:
        # A mapped IPv4 address, as a socket for both families gives it, is written as IPv4.
        scope["client"] = (addresses.read(client) or client, port if client == peer else 0)
    scope["scheme"] = scheme_of(scope.get("scheme") or "http", ",".join(said[PROTO]), proxies)


def take_over() -> None:
    """Keep uvicorn from reading the headers first: started plainly, it believes those that come from
    loopback, where a proxy on the same machine passes on what its clients wrote."""
    config.ProxyHeadersMiddleware = _as_it_is  # type: ignore[assignment, attr-defined]


def _as_it_is(app: Any, trusted_hosts: Any) -> Any:
    del trusted_hosts
    return app


class TrustedProxies:
    """Middleware: the same for requests that do not come through `moondream_site.asgi`, as of Django's
    own development server. Behind it the headers are gone, and this finds nothing to do."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        meta, proxies = request.META, settings.TRUSTED_PROXIES
        client = client_of(meta.get("REMOTE_ADDR"), meta.get(_meta(FOR), ""), proxies)
        if client is not None:
            meta["REMOTE_ADDR"] = client
        if _meta(PROTO) in meta and "wsgi.url_scheme" in meta:
            meta["wsgi.url_scheme"] = scheme_of(
                meta["wsgi.url_scheme"], meta[_meta(PROTO)], proxies
            )
        for name in DROPPED:
            meta.pop(_meta(name), None)
        return self.get_response(request)


def _meta(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"
