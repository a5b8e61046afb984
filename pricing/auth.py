"""How callers of the API say who they are."""

import hashlib

from django.http import HttpRequest


class ClientIdentity:
    """Gives every caller a stable, opaque `request.client_key`.

    Official clients send `X-Moondream-Auth` (empty when they have no key) or a Bearer token. There
    are no accounts yet, so any string is accepted and none grants more than another; it only tells
    callers behind one address apart. Without one, the address stands in.
    """

    def __call__(self, request: HttpRequest) -> str:
        token = request.headers.get("X-Moondream-Auth", "").strip()
        if not token:
            scheme, _, value = request.headers.get("Authorization", "").partition(" ")
            token = value.strip() if scheme.lower() == "bearer" else ""
        who = f"token:{token}" if token else f"address:{request.META.get('REMOTE_ADDR', '')}"
        key = hashlib.sha256(who.encode()).hexdigest()
        request.client_key = key  # type: ignore[attr-defined]
        return key
