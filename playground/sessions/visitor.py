"""Whose sessions: an account's, or those of a browser that holds a cookie."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

COOKIE = "visitor"
COOKIE_S = 365 * 86_400
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with sessions of their own, or who could have some."""

    user: Any = None
    """The account that is signed in; None without."""
    token: str = ""
    """The cookie's; empty before anything was saved."""

    @property
    def key(self) -> str:
        """What is stored of the token: 64 characters, or none."""
        return hashlib.sha256(self.token.encode()).hexdigest() if self.token else ""

    @property
    def owns(self) -> Q:
        """Sessions that are theirs."""
        if self.user is not None:
            return Q(owner=self.user)
        return Q(owner=None, visitor=self.key) & ~Q(visitor="")

    @property
    def fields(self) -> dict[str, Any]:
        """What marks a new session as theirs."""
        return {"owner": self.user} if self.user is not None else {"visitor": self.key}

    def remembered(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """The response, with the cookie by which a browser without an account is known again."""
        if self.user is None:
            response.set_cookie(
                COOKIE, self.token, max_age=COOKIE_S, httponly=True, samesite="Lax",
                secure=request.is_secure(),
            )  # fmt: skip
        return response


def visitor_of(request: HttpRequest, *, make: bool = False) -> Visitor:
    """Who asks.

    Args:
        make: give a browser that has no cookie a token, for something that is saved now.
    """
    user = request.user if request.user.is_authenticated else None
    token = token_of(request)
    if make and not token and user is None:
        token = secrets.token_urlsafe(24)
    return Visitor(user, token)


def token_of(request: HttpRequest) -> str:
    """The cookie's token; empty without one that we made."""
    sent = request.COOKIES.get(COOKIE, "")
    return sent if _TOKEN.fullmatch(sent) else ""
