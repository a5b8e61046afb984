"""Idempotency-Key, as every operation that takes one reads it."""

import hashlib
from typing import Any

from django.http import HttpRequest

from inference import errors

NAME = "Idempotency-Key"
MAX_LENGTH = 128
"""Characters."""
DOCUMENTED: dict[str, Any] = {
    "parameters": [{
        "name": NAME, "in": "header", "required": False,
        "schema": {"type": "string", "maxLength": MAX_LENGTH},
        "description": "A repeated request with the same key is answered by what the first one made.",
    }]
}  # fmt: skip
"""What an operation says of it in the OpenAPI document (`openapi_extra`)."""


def key_of(request: HttpRequest) -> str:
    """The key that was sent; empty without.

    Raises:
        InvalidInput: it is too long to be kept, or cannot be written.
    """
    return checked(request.headers.get(NAME, ""))


def checked(key: str) -> str:
    """A key that can be kept.

    Raises:
        InvalidInput: it cannot.
    """
    if len(key) > MAX_LENGTH or not key.isprintable():
        raise errors.BAD_IDEMPOTENCY_KEY(field=NAME)
    return key


def own_key_of(request: HttpRequest) -> str:
    """The key as one that no other caller's meets, even behind the same address.

    Raises:
        InvalidInput: as `key_of`.
    """
    sent = key_of(request)
    if not sent:
        return ""
    scope = getattr(request, "client_scope", "")
    return hashlib.sha256(f"{scope}\n{sent}".encode(errors="surrogatepass")).hexdigest()
