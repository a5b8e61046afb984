"""Who is calling: an account by its key, else the network an address is in."""

import hashlib
from dataclasses import dataclass

from django.http import HttpRequest

from inference import addresses
from pricing import selectors
from pricing.models import ApiKey

_ATTRIBUTE = "_moondream_caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who limits, fairness in the queue, and repeated requests are counted for."""

    network: str
    """The address, or the /64 it is in."""
    key: ApiKey | None
    """The working API key that was sent. Whatever else was sent is nobody."""
    scope: str
    """What tells callers of one network apart where one must not meet another's job: the token they
    sent, else their address. It gives no allowance: anybody can make up tokens."""

    @property
    def name(self) -> str:
        """Whose allowance is used: all keys of an account share one."""
        return _account(self.key.user_id) if self.key else f"network:{self.network}"

    @property
    def digest(self) -> str:
        """The name as 64 opaque characters."""
        return _digest(self.name)

    @property
    def scope_digest(self) -> str:
        """The scope as 64 opaque characters."""
        return _digest(self.scope)


def caller_of(request: HttpRequest) -> Caller:
    """The caller; looks a key up once a request."""
    found: Caller | None = getattr(request, _ATTRIBUTE, None)
    if found is None:
        token, address = token_of(request), request.META.get("REMOTE_ADDR", "")
        found = Caller(
            network=addresses.network(address),
            key=selectors.key_of(token) if token else None,
            scope=f"token:{token}" if token else f"address:{address}",
        )
        setattr(request, _ATTRIBUTE, found)
    return found


def token_of(request: HttpRequest) -> str:
    """What the official clients send as `X-Moondream-Auth`, or a Bearer token; empty without."""
    token = request.headers.get("X-Moondream-Auth", "").strip()
    if not token:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = value.strip() if scheme.lower() == "bearer" else ""
    return token


def account_digest(user_id: int) -> str:
    """`Caller.digest` of whoever sends a key of an account."""
    return _digest(_account(user_id))


def _account(user_id: int) -> str:
    return f"account:{user_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
