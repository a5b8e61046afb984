"""Requests to addresses that strangers name: only to public hosts, in bounded time and size.

A name is resolved once, all its addresses are judged, and the connection goes to one of those judged, so
that a second answer of the name server changes nothing. Each redirect is judged anew. The settings'
`OUTBOUND_ALLOWED` names hosts and networks that an admin vouches for.
"""

import ipaddress
import socket
import ssl
import threading
import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urljoin

import httpcore
import httpx
from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_URL = 500
CONNECT_S = 5.0
_PIECE = 16 * 1024
"""Bytes that are written under one look at the clock."""
_LOWEST_PORT = 1024
"""Ports under it belong to services that are no web servers, but for these two."""
_HIGHEST_PORT = 65535
_WEB_PORTS = frozenset({80, 443})
_REFUSED_4 = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, with a cloud's metadata at .192
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # a cloud's own services, at a public address
    )
)
_UNICAST_6 = ipaddress.ip_network("2000::/3")
_REFUSED_6 = tuple(
    ipaddress.ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4 leads to any IPv4 address
        "3fff::/20",  # documentation
    )
)
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "test",
                "invalid", "onion", "localdomain")  # fmt: skip
"""Last labels that no public name has."""


class Rule(Enum):
    """Who named an address."""

    STRANGER = "stranger"
    """Public hosts only."""
    ADMIN = "admin"
    """Also this machine and its network; never link-local addresses, where clouds keep their secrets."""


class AddressRefusedError(ValueError):
    """An address that is not asked, and why, in a sentence."""


class FetchError(Exception):
    """Nobody answered. `code` is one of dns, connect, tls, timeout, broken, too_large, redirects."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    """In the order they came, names in lower case."""
    body: bytes
    is_cut: bool
    """There was more than was read."""
    seconds: float
    url: str
    """Of the last redirect."""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name.lower()), "")


def fetch(
    method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None,
    seconds: float, most_bytes: int, redirects: int = 0, cut: bool = False, rule: Rule = Rule.STRANGER,
) -> Reply:  # fmt: skip
    """One request, and the beginning of its answer.

    Args:
        seconds: for all of it: resolving, connecting, redirects, the body to its last byte.
        most_bytes: of the body.
        redirects: how many are followed, only of GET and HEAD; with 0 a redirect is the answer.
        cut: a body that is too large or too slow is cut where it is; otherwise it is an error.

    Raises:
        AddressRefusedError: the address, or one it leads to, may not be asked.
        FetchError: there is no whole answer.
    """
    began = time.monotonic()
    deadline = began + seconds
    with httpx.Client(
        transport=GuardedTransport(rule, deadline), follow_redirects=False, trust_env=False,
        timeout=httpx.Timeout(seconds, connect=min(CONNECT_S, seconds)),
    ) as client:  # fmt: skip
        for _ in range(redirects + 1):
            check(url, rule)
            reply = _ask(
                client, method, url, content, headers or {}, most_bytes, cut=cut, began=began
            )
            onward = reply.header("location") if 300 <= reply.status < 400 else ""
            if not redirects or not onward:
                return reply
            if method not in ("GET", "HEAD"):
                return reply
            url = urljoin(url, onward)
    raise FetchError("redirects", f"It redirects more than {redirects} times.")


def _ask(
    client: httpx.Client, method: str, url: str, content: bytes | None, headers: Mapping[str, str],
    most_bytes: int, *, cut: bool, began: float,
) -> Reply:  # fmt: skip
    sent = {"Accept-Encoding": "identity", "User-Agent": "moondream-hub", "Connection": "close"}
    try:
        with client.stream(method, url, content=content, headers=sent | dict(headers)) as response:
            body, is_cut = _body(response, most_bytes, cut=cut)
            return Reply(
                response.status_code,
                [(name.lower(), value) for name, value in response.headers.multi_items()],
                body, is_cut, time.monotonic() - began, url,
            )  # fmt: skip
    except httpx.ConnectTimeout as error:
        raise FetchError("timeout", "It does not accept a connection in time.") from error
    except httpx.TimeoutException as error:
        raise FetchError("timeout", "It does not answer in time.") from error
    except httpx.ConnectError as error:
        if isinstance(_root(error), ssl.SSLError):
            raise FetchError("tls", "Its certificate or its TLS is not accepted.") from error
        raise FetchError("connect", "It cannot be reached.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise FetchError("broken", "Its answer breaks off, or is no HTTP.") from error


def _body(response: httpx.Response, most_bytes: int, *, cut: bool) -> tuple[bytes, bool]:
    body = bytearray()
    try:
        for piece in response.iter_raw():
            body += piece
            if len(body) > most_bytes:
                break
        else:
            return bytes(body), False
    except (httpx.TimeoutException, httpx.ReadError, httpx.RemoteProtocolError):
        if not cut:
            raise
    if not cut:
        raise FetchError("too_large", f"Its answer has more than {most_bytes:,} bytes.")
    return bytes(body[:most_bytes]), True


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def check(url: str, rule: Rule = Rule.STRANGER) -> str:
    """The host of an address that may be asked, as far as can be told without asking for its name.

    Raises:
        AddressRefusedError: it is none.
    """
    if len(url) > MOST_URL:
        raise AddressRefusedError(f"An address has at most {MOST_URL} characters.")
    if not url.isprintable() or any(char in url for char in ' \\"<>^`{|}'):
        raise AddressRefusedError("This is no address.")
    try:
        parts = httpx.URL(url)
        host, port = parts.raw_host.decode("ascii"), parts.port
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AddressRefusedError("This is no address.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise AddressRefusedError("Begin with https:// and a host, as in https://example.org/hook.")
    if parts.userinfo:
        raise AddressRefusedError("Write no name and no password in the address.")
    is_vouched = _is_vouched_name(host)
    if rule is Rule.STRANGER and parts.scheme == "http" and not is_vouched and not _vouched(host):
        raise AddressRefusedError("Begin with https://: what is sent is not for others to read.")
    if port is not None and port not in _WEB_PORTS and not _LOWEST_PORT <= port <= _HIGHEST_PORT:
        raise AddressRefusedError(f"Port {port} is no web server's.")
    literal = _literal(host)
    if literal is not None:
        judge(literal, rule)
    elif rule is Rule.STRANGER and not is_vouched:
        _check_name(host)
    return host


def _check_name(host: str) -> None:
    labels = host.lower().rstrip(".").split(".")
    if len(labels) < 2 or labels[-1] in _LOCAL_NAMES:
        raise AddressRefusedError(f"{host} is no public host.")


def _literal(host: str) -> Address | None:
    """The address that a host is written as; None for a name.

    Raises:
        AddressRefusedError: it is a number that only some programs read as an address (octal, hexadecimal,
            shortened, or with a zone).
    """
    plain = unicodedata.normalize("NFKC", host).rstrip(".").strip("[]")
    last = plain.rpartition(".")[2].lower()
    is_number = last.isdigit() or last.startswith("0x") or ":" in plain
    if not is_number:
        return None
    try:
        if "%" in plain:
            raise ValueError
        return ipaddress.ip_address(plain)
    except ValueError as error:
        raise AddressRefusedError(f"{host} is no address in its plain form.") from error


def judge(address: Address, rule: Rule = Rule.STRANGER) -> None:
    """
    Raises:
        AddressRefusedError: nothing is sent to it.
    """
    bare = getattr(address, "ipv4_mapped", None) or address
    if any(_is_in(bare, network) for network in _vouched_networks()):
        return
    if rule is Rule.ADMIN:
        if bare.is_link_local or bare.is_multicast or bare.is_unspecified:
            raise AddressRefusedError(f"{address} is no server's address.")
        return
    if address is not bare or not _is_public(bare):
        raise AddressRefusedError(f"{address} is no public address.")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        is_special = address.is_multicast or address.is_reserved
        return address.is_global and not is_special and not any(address in n for n in _REFUSED_4)
    return address in _UNICAST_6 and address.is_global and not any(address in n for n in _REFUSED_6)


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _vouched_networks() -> list[Network]:
    found = []
    for text in settings.OUTBOUND_ALLOWED:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:  # a host's name
            continue
    return found


def _vouched(host: str) -> bool:
    """Whether a host is written as an address that an admin vouches for."""
    try:
        literal = _literal(host)
    except AddressRefusedError:
        return False
    if literal is None:
        return False
    bare = getattr(literal, "ipv4_mapped", None) or literal
    return any(_is_in(bare, network) for network in _vouched_networks())


def _is_vouched_name(host: str) -> bool:
    return host.lower().rstrip(".") in {text.lower() for text in settings.OUTBOUND_ALLOWED}


def resolve(
    host: str, port: int, rule: Rule = Rule.STRANGER, seconds: float = CONNECT_S
) -> list[Address]:
    """The addresses of a host, each of which may be asked. One bad address among them refuses all: who
    answers for the name chooses which is taken.

    Raises:
        AddressRefusedError: one may not be asked.
        OSError: the name has none, or its server does not answer in time.
    """
    literal = _literal(host)
    if literal is not None:
        judge(literal, rule)
        return [literal]
    found = [_parsed(text) for text in _looked_up(host, port, seconds)]
    if not _is_vouched_name(host):
        if rule is Rule.STRANGER:
            _check_name(host)
        for address in found:
            judge(address, rule)
    return found


def _parsed(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """getaddrinfo, which has no time limit of its own, in a thread that is left behind at the limit."""
    found: list[str] = []
    failed: list[OSError] = []

    def look() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look, daemon=True, name="resolve")
    thread.start()
    thread.join(max(seconds, 0.0))
    if thread.is_alive():
        raise OSError(f"{host}: no answer about its address in time")
    if failed or not found:
        raise failed[0] if failed else OSError(f"{host} has no address")
    return found


class GuardedTransport(httpx.HTTPTransport):
    """A transport of httpx whose connections go to judged addresses only, with no proxy between."""

    def __init__(self, rule: Rule = Rule.STRANGER, deadline: float | None = None) -> None:
        """
        Args:
            deadline: by `time.monotonic`, for all that is asked through it; None leaves it to time-outs.
        """
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            network_backend=_Backend(rule, deadline),
            max_keepalive_connections=0,  # one that was made for another host is not used again
        )


class _Backend(httpcore.NetworkBackend):
    """Makes connections, to addresses it has judged itself."""

    def __init__(self, rule: Rule, deadline: float | None) -> None:
        self._rule, self._deadline = rule, deadline
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        wait = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        try:
            addresses = resolve(host, port, self._rule, wait if wait is not None else CONNECT_S)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for number, address in enumerate(addresses, 1):
            wait = _left(self._deadline, timeout, httpcore.ConnectTimeout)
            try:
                stream = self._real.connect_tcp(
                    str(address), port, timeout=wait, local_address=local_address,
                    socket_options=socket_options,
                )  # fmt: skip
                return _Stream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("no socket of this machine is asked")

    def sleep(self, seconds: float) -> None:
        self._real.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline, however few bytes keep coming."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float | None) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            wait = _left(self._deadline, timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE], wait)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        wait = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, wait), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(
    deadline: float | None, timeout: float | None, late: type[httpcore.TimeoutException]
) -> float | None:
    """Seconds to wait: no more than a time-out, and than is left until the deadline."""
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the time for all of it is over")
    return left if timeout is None else min(timeout, left)
