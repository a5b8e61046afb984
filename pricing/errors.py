"""What goes wrong with keys and allowances, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "pricing")

CSRF = _kind("csrf", 403, "The page has expired.", "Reload it.")
RATE_LIMITED = _kind(
    "rate_limited", 429, "Too many requests from this address or account.",
    "Wait for Retry-After seconds.",
)  # fmt: skip
UNAUTHORISED = _kind(
    "unauthorised", 401, "An API key is needed, and has to be valid.",
    "Make one at /account/keys/ and send it as Authorization: Bearer …",
)  # fmt: skip
WRONG_SCOPE = _kind(
    "wrong_scope", 403, "The key may not be used for this.",
    "Make a key with that scope at /account/keys/.",
)  # fmt: skip

# Of the form that makes them.
BAD_KEY = _kind("bad_key", 400, "The key cannot be made so.", "See the message.", is_of_api=False)
KEY_NOT_FOUND = _kind(
    "key_not_found", 404, "There is no such key of yours.", "Your account lists them.",
    is_of_api=False,
)  # fmt: skip
TOO_MANY_KEYS = _kind(
    "too_many_keys", 400, "You have as many keys as there may be.", "Revoke one.", is_of_api=False
)

# Of what admins do about how others sign in.
ADDRESS_TAKEN = _kind(
    "address_taken", 409, "Another account has verified this address.", "Remove it there first.",
    is_of_api=False,
)  # fmt: skip
ADDRESS_IS_PRIMARY = _kind(
    "address_is_primary", 409, "Mail to this account goes to this address.",
    "Make another one primary first.", is_of_api=False,
)  # fmt: skip
OWN_SIGN_IN = _kind(
    "own_sign_in", 403, "How you sign in yourself is changed in your account.", "Go to /account/.",
    is_of_api=False,
)  # fmt: skip
SIGN_IN_PROTECTED = _kind(
    "sign_in_protected", 403, "This account has an admin's rights.",
    "Only an admin who may do everything changes how it signs in.", is_of_api=False,
)  # fmt: skip
