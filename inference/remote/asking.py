"""Questions to another server in the wire's shape. What comes back is bounded and judged; nothing of its
own words is passed on: they may hold anything, this server's key too."""

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies

import httpx
import orjson
from django.conf import settings

from inference import errors
from inference.errors import KINDS, DomainError
from inference.remote.link import Link, is_near
from inference.safe_fetch import AddressRefusedError, GuardedTransport, Rule

CONNECT_S = 5.0
MOST_BYTES = 4 * 2**20
"""Of one answer."""
MOST_LINE = 2**16
"""Bytes of one event of a stream."""
HUB = "moondream-hub"
"""In the header Via: a hub knows by it that another one asks, and answers by what it runs itself."""
_FAILED = re.compile(rb"stream failed: ([a-z_]{1,40}):")


class WaitError(Exception):
    """The server asks to come again, and has done nothing yet."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:g} s")
        self.seconds = seconds


def ask(link: Link, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer.

    Raises:
        WaitError: ask again later.
        DomainError: it cannot be asked, refuses, or answers with something else.
    """
    with reply(link, "POST", path, body) as response:
        _accepted(response)
        found = read_json(response)
    if not isinstance(found, dict):
        raise errors.REMOTE_FAULT("The other server's answer is no object.")
    return found


def ask_stream(link: Link, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
    """The events of a streamed answer as they come, up to the one that completes it; None where the server
    only says that it is still there.

    Raises:
        WaitError, DomainError: as `ask`; also where the stream breaks off.
    """
    with reply(link, "POST", path, {**body, "stream": True}) as response:
        _accepted(response)
        for line in _lines(response):
            if not line.startswith(b"data: "):
                if line.startswith(b":"):
                    yield None
                continue
            event = _event(line[6:])
            yield event
            if event.get("completed") is True:
                return
    raise errors.REMOTE_FAULT("The other server's answer broke off.")


def _event(raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return found
    failed = _FAILED.match(raw)
    raise _known(failed[1].decode() if failed else "") or errors.REMOTE_FAULT(
        "The other server's answer broke off."
    )


@contextmanager
def reply(
    link: Link, method: str, path: str, body: Mapping[str, Any] | None = None
) -> Iterator[httpx.Response]:
    """A response whose body is not read yet. Redirects are not followed.

    Raises:
        DomainError: nobody answers, or not in time; also while the body is read.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": HUB, "Via": f"1.1 {HUB}"}
    if link.key:
        headers["X-Moondream-Auth"] = link.key
    limits = httpx.Timeout(settings.INFERENCE_REMOTE_READ_S, connect=CONNECT_S)
    content = None if body is None else orjson.dumps(body)
    if content is not None:
        headers["Content-Type"] = "application/json"
    try:
        # A proxy makes the connection, where there is one; else it goes where was judged.
        proxied = bool(getproxies()) and not is_near(link.address)
        transport = None if proxied else GuardedTransport(Rule.ADMIN)
        with (
            httpx.Client(
                timeout=limits, follow_redirects=False, trust_env=proxied, transport=transport
            ) as client,
            client.stream(method, f"{link.address}{path}", headers=headers, content=content) as response,
        ):  # fmt: skip
            yield response
    except httpx.TimeoutException as error:
        raise errors.REMOTE_UNREACHABLE("The other server does not answer in time.") from error
    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
        raise errors.REMOTE_FAULT("The other server's answer broke off.") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, AddressRefusedError) as error:
        raise errors.REMOTE_UNREACHABLE() from error


def _accepted(response: httpx.Response) -> None:
    """
    Raises:
        WaitError, DomainError: it is not answered with 200.
    """
    status = response.status_code
    if status == 200:
        return
    if status in (429, 503) and (seconds := wait_of(response)) is not None:
        raise WaitError(seconds)
    if 300 <= status < 400:
        raise errors.REMOTE_FAULT(
            "The other server sends questions elsewhere; that is not followed."
        )
    if status in (401, 403):
        raise errors.REMOTE_UNAUTHORISED()
    if status == 429:
        raise errors.REMOTE_BUSY()
    if 400 <= status < 500:
        code = _code_of(response)
        raise _known(code) or errors.REMOTE_REFUSED(
            f"The other server refused the question ({status})."
        )
    raise errors.REMOTE_FAULT(f"The other server has a fault ({status}).")


def wait_of(response: httpx.Response) -> float | None:
    """Seconds until `Retry-After`, which may be a number or a date; None where it says nothing."""
    text = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _code_of(response: httpx.Response) -> str:
    """The code of an error in OpenAI's shape; empty where there is none."""
    try:
        found = read_json(response)
    except DomainError:
        return ""
    inner = found.get("error") if isinstance(found, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) else ""


def _known(code: str) -> DomainError | None:
    """An error of the asker's that this server knows too, in its own words."""
    kind = KINDS.get(code)
    return kind() if kind is not None and 400 <= kind.status < 429 and kind.status not in (401, 403) else None  # fmt: skip


def read_json(response: httpx.Response) -> Any:
    """
    Raises:
        DomainError: the body is too long, or no JSON.
    """
    body = b"".join(_chunks(response))
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.REMOTE_FAULT("The other server's answer is no JSON.") from error


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body, within `MOST_BYTES`."""
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise errors.REMOTE_FAULT(
            "The other server's answer is compressed, which was not asked for."
        )
    size = 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > MOST_BYTES:
            raise errors.REMOTE_FAULT("The other server's answer is too long.")
        yield chunk


def _lines(response: httpx.Response) -> Iterator[bytes]:
    rest = b""
    for chunk in _chunks(response):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")
        if len(rest) > MOST_LINE:
            raise errors.REMOTE_FAULT("The other server's answer has a line that is too long.")
    if rest:
        yield rest
