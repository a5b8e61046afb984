"""What goes wrong before a request reaches a room, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "moondream_site")

ADDRESS_TOO_LONG = _kind("address_too_long", 414, "The address is too long.", "Send a body instead.")  # fmt: skip
BAD_JSON = _kind("bad_json", 400, "The body is not JSON.", "Check its quotes and braces.")
BAD_REQUEST = _kind(
    "bad_request", 400, "The request cannot be read.", "Check its form and its boundaries."
)
BODY_TOO_LARGE = _kind(
    "body_too_large", 413, "The request is too large.", "Send at most 32 MB; as a form, 50 MB."
)
BODY_TOO_SLOW = _kind(
    "body_too_slow", 408, "The request took too long to arrive.",
    "Send a smaller image, or try again from a better connection.",
)  # fmt: skip
DATABASE_UNAVAILABLE = _kind(
    "database_unavailable", 503, "The database cannot be reached.", "Try again in a moment."
)
INVALID_FIELD = _kind(
    "invalid_field",
    400,
    "A field is missing or of the wrong type.",
    "The reference at /docs/api/ says what it takes.",
)
METHOD_NOT_ALLOWED = _kind(
    "method_not_allowed", 405, "The address does not answer this method.", "See `Allow`."
)
MFA_REQUIRED = _kind(
    "mfa_required", 403, "Your account needs a second step to sign in.",
    "Set it up in your account.",
)  # fmt: skip
NOT_FOUND = _kind(
    "not_found", 404, "There is nothing at this address.", "See the reference at /docs/api/."
)
UNSUPPORTED_CONTENT_TYPE = _kind(
    "unsupported_content_type", 415, "The body's type is not read here.", "Send application/json."
)
UPLOADS_BUSY = _kind(
    "uploads_busy", 503, "Too many uploads are on their way.", "Try again in a few seconds.", 3
)
