"""How API keys are written, so that they can be told from anything else, by us and by whoever looks for
leaked ones."""

import hashlib
import re
import secrets

MARK = "mdh"
"""What our keys begin with."""
PATTERN = rf"{MARK}_[0-9a-f]{{8}}_[A-Za-z0-9_-]{{43}}"
"""A regular expression for scanners of secrets; `docs/operations.md` shows it."""
_FORM = re.compile(rf"({MARK}_[0-9a-f]{{8}})_[A-Za-z0-9_-]{{43}}")


def made() -> tuple[str, str]:
    """The beginning by which a new key is known, and the whole of it. It has 256 random bits."""
    prefix = f"{MARK}_{secrets.token_hex(4)}"
    return prefix, f"{prefix}_{secrets.token_urlsafe(32)}"


def prefix_of(secret: str) -> str | None:
    """The beginning of a key; None of what is not written as one, and need not be looked up."""
    form = _FORM.fullmatch(secret)
    return form[1] if form else None


def is_ours(token: str) -> bool:
    """Whether a token claims to be a key of ours; any other string is a caller's label and no key."""
    return token.startswith(f"{MARK}_")


def digest_of(secret: str) -> str:
    """The key's fingerprint; random as it is, a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
