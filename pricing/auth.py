"""How callers of the API say who they are."""

import hashlib
from typing import Any

from django.http import HttpRequest
from ninja.utils import check_csrf

from inference.errors import Forbidden, Unauthorised
from pricing import selectors, services


def token_of(request: HttpRequest) -> str:
    """What the official clients send as `X-Moondream-Auth`, or a Bearer token; empty without."""
    token = request.headers.get("X-Moondream-Auth", "").strip()
    if not token:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = value.strip() if scheme.lower() == "bearer" else ""
    return token


class ClientIdentity:
    """Gives every caller a stable, opaque `request.client_key`.

    Asking the model needs no account: any string is accepted, and tells callers behind one address
    apart. Without one, the address stands in.
    """

    def __call__(self, request: HttpRequest) -> str:
        token = token_of(request)
        who = f"token:{token}" if token else f"address:{request.META.get('REMOTE_ADDR', '')}"
        key = hashlib.sha256(who.encode()).hexdigest()
        request.client_key = key  # type: ignore[attr-defined]
        return key


class Account:
    """Requires an account: an API key with a scope, or this site's own session with its CSRF token.

    The user is `request.auth`.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        """
        Raises:
            Unauthorised: no key, or one that is unknown or revoked.
            Forbidden: the key is not for this, or the page's token has expired.
        """
        token = token_of(request)
        if not token and request.user.is_authenticated:
            if check_csrf(request) is not None:
                raise Forbidden("The page has expired.", code="csrf", hint="Reload it.")
            return request.user
        key = selectors.key_of(token) if token else None
        if key is None:
            raise Unauthorised(
                "An API key is needed." if not token else "This API key is not valid.",
                hint="Make one at /account/keys/ and send it as Authorization: Bearer …",
            )
        if self.scope not in key.scopes:
            raise Forbidden(
                f"This key may not be used to {self.scope}.", code="wrong_scope",
                hint="Make a key with that scope at /account/keys/.",
            )  # fmt: skip
        services.key_used(key)
        return key.user
