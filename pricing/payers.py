"""For whom a request is metered: the account of its key or session, else the network it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.http import HttpRequest

from pricing.callers import Caller, caller_of, token_of
from pricing.models import ApiKey, LedgerAccount
from pricing.selectors import account_of_user

_ATTRIBUTE = "_moondream_payer"


@dataclass(slots=True)
class Left:
    """What there is of one meter after a reservation, for the headers of the answer."""

    meter: str
    limit: int | None
    left: int | None
    seconds: float
    """Until there is more."""


@dataclass(slots=True)
class Payer:
    """Whoever a job is metered for."""

    caller: Caller
    signed_in: Callable[[], Any] = lambda: None
    """The user of this site's own session, where no token was sent; looked up only where it matters."""
    left: Left | None = None

    @property
    def key(self) -> ApiKey | None:
        return self.caller.key

    @property
    def user_id(self) -> int | None:
        if self.key is not None:
            return self.key.user_id
        user = self.signed_in()
        return user.pk if user is not None else None

    def account(self) -> LedgerAccount | None:
        """Of a key without a query; None where it is to be looked up or made."""
        return account_of_user(self.key.user) if self.key is not None else None


def payer_of(request: HttpRequest) -> Payer:
    """The payer; the same object for all that asks in one request."""
    found: Payer | None = getattr(request, _ATTRIBUTE, None)
    if found is None:
        found = Payer(caller_of(request), partial(_signed_in, request))
        setattr(request, _ATTRIBUTE, found)
    return found


def _signed_in(request: HttpRequest) -> Any:
    if token_of(request) or not hasattr(request, "user"):
        return None
    return request.user if request.user.is_authenticated else None


def payer_known(request: HttpRequest) -> Payer | None:
    """The payer, if anything has asked for it."""
    return getattr(request, _ATTRIBUTE, None)
