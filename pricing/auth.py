"""How callers of the API say who they are."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from ninja.utils import check_csrf

from pricing import errors, services
from pricing.callers import caller_of, token_of
from pricing.key_form import is_ours
from pricing.models import ApiKey, Scope
from pricing.payers import payer_of

_READING = ("GET", "HEAD", "OPTIONS")


class ClientIdentity:
    """Gives every caller a stable, opaque `request.client_key`: of the account whose working API key
    was sent, else of the network the address is in. `request.client_scope` tells callers of one
    network apart, so that none is handed another's job, and `request.account()` finds the account that
    was named. Asking the model needs no key, and a token that is no key of ours is but a label; one that
    is written as ours has to work, and to be for asking."""

    def __call__(self, request: HttpRequest) -> str:
        """
        Raises:
            Unauthorised: a key of ours that is unknown, revoked or expired.
            Forbidden: the key is not for asking the model.
        """
        caller = caller_of(request)
        if caller.key is not None:
            _check_scope(request, caller.key, Scope.INFER, *_ANY_READS)
            services.key_used(caller.key)
        elif is_ours(token_of(request)):
            raise errors.UNAUTHORISED("This API key is unknown, revoked or expired.")
        request.client_key = caller.digest  # type: ignore[attr-defined]
        request.client_scope = caller.scope_digest  # type: ignore[attr-defined]
        request.account = lambda: account_of(request)  # type: ignore[attr-defined]
        request.payer = payer_of(request)  # type: ignore[attr-defined]
        return caller.digest


_ANY_READS = tuple(Scope)
"""What lies open to everybody, a key of any kind reads."""


def _check_scope(request: HttpRequest, key: ApiKey, scope: str, *reading: str) -> None:
    """
    Args:
        reading: scopes that are enough to read.

    Raises:
        Forbidden: the key is not for this.
    """
    enough = {scope, *reading} if request.method in _READING else {scope}
    if not enough & set(key.scopes):
        raise errors.WRONG_SCOPE(f"This key may not be used to {scope}.")


def account_of(request: HttpRequest) -> int | None:
    """The account of the working key that was sent; without a token, of this site's own session."""
    caller = caller_of(request)
    if caller.key is not None:
        return caller.key.user_id
    if token_of(request) or not request.user.is_authenticated:
        return None
    return request.user.pk


class Account:
    """Requires an account: an API key with a scope, or this site's own session with its CSRF token. To
    read, a key of the scope "read" is enough.

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
        caller, token = caller_of(request), token_of(request)
        request.payer = payer_of(request)  # type: ignore[attr-defined]
        if not token and request.user.is_authenticated:
            if check_csrf(request) is not None:
                raise errors.CSRF()
            return request.user
        key = caller.key
        if key is None:
            raise errors.UNAUTHORISED(
                "An API key is needed." if not token else "This API key is not valid."
            )
        _check_scope(request, key, self.scope, Scope.READ)
        services.key_used(key)
        return key.user


class AccountOrVisitor(Account):
    """An account as `Account` knows it, or whoever sends no key and is not signed in.

    The user is `request.auth`, of a visitor an anonymous one; `request.client_key` tells visitors apart.
    """

    def __call__(self, request: HttpRequest) -> Any:
        """
        Raises:
            Unauthorised: a key that is unknown or revoked.
            Forbidden: the key is not for this, or the page's token has expired.
        """
        request.client_key = caller_of(request).digest  # type: ignore[attr-defined]
        request.payer = payer_of(request)  # type: ignore[attr-defined]
        if not token_of(request) and not request.user.is_authenticated:
            return AnonymousUser()
        return super().__call__(request)
