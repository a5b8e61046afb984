"""What goes wrong with keys and allowances, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "pricing")

BAD_MONTH = _kind("bad_month", 400, "There is no such month.", "Write it as in 2026-12.")
CSRF = _kind("csrf", 403, "The page has expired.", "Reload it.")
IMAGES_SPENT = _kind(
    "images_spent", 402, "The images of this month are used up.",
    "Wait for the month to end, or ask for more at /pricing/.",
)  # fmt: skip
IMAGE_NOT_REGISTERED = _kind(
    "image_not_registered", 403, "The plan is for images of registered benchmarks and data sets.",
    "Use an image of a benchmark as it is published, or another plan.",
)  # fmt: skip
KEY_SPENT = _kind(
    "key_spent", 402, "The key has used what it may use this month.",
    "Use another key, or raise its limit at /account/keys/.",
)  # fmt: skip
KEY_UNKNOWN = _kind(
    "key_unknown", 404, "There is no such key.", "Send the whole key, as it was shown when it was made."
)  # fmt: skip
RATE_LIMITED = _kind(
    "rate_limited", 429, "Too many requests from this address or account.",
    "Wait for Retry-After seconds.",
)  # fmt: skip
TOO_MANY_AT_ONCE = _kind(
    "too_many_at_once", 429, "As many questions are under way as the plan answers at a time.",
    "Wait for some of them.", 2,
)  # fmt: skip
TRAINING_SPENT = _kind(
    "training_spent", 402, "The training minutes of this month are used up or held by what runs.",
    "Wait for the month to end, or ask for more at /pricing/.",
)  # fmt: skip
UNAUTHORISED = _kind(
    "unauthorised", 401, "An API key is needed, and has to be valid.",
    "Make one at /account/keys/ and send it as Authorization: Bearer …",
)  # fmt: skip
WRONG_SCOPE = _kind(
    "wrong_scope", 403, "The key may not be used for this.",
    "Make a key with that scope at /account/keys/.",
)  # fmt: skip

# Of research credits.
APPLICATION_INCOMPLETE = _kind(
    "application_incomplete",
    400,
    "Something is missing.",
    "Fill it in, then send it.",
    is_of_api=False,
)
APPLICATION_NOT_FOUND = _kind(
    "application_not_found", 404, "There is no such application of yours.", "Your account lists them.",
    is_of_api=False,
)  # fmt: skip
APPLICATION_OPEN = _kind(
    "application_open", 409, "Your application is being decided.", "Wait for it, or withdraw it.",
    is_of_api=False,
)  # fmt: skip
APPLICATION_STATE = _kind(
    "application_state", 409, "The application is not in a state for this.", "Look at it again.",
    is_of_api=False,
)  # fmt: skip
ATTACHMENT_NOT_FOUND = _kind(
    "attachment_not_found", 404, "There is no such file.", "The application lists them.", is_of_api=False
)  # fmt: skip
BAD_ATTACHMENT = _kind(
    "bad_attachment", 400, "The file cannot be attached.", "See the message.", is_of_api=False
)
BAD_GRANT = _kind("bad_grant", 400, "It cannot be granted so.", "See the message.", is_of_api=False)
OWN_APPLICATION = _kind(
    "own_application", 403, "It is your own application.", "Another admin decides on it.", is_of_api=False
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

# Of payments and invoices.
ALREADY_SUBSCRIBED = _kind(
    "already_subscribed", 409, "The account has a subscription.", "Change it at /account/billing/.",
    is_of_api=False,
)  # fmt: skip
BAD_SIGNATURE = _kind(
    "bad_signature", 400, "The event was not signed by the payment service, or too long ago.",
    "Check STRIPE_WEBHOOK_SECRETS and the server's clock.", is_of_api=False,
)  # fmt: skip
INVOICE_NOT_FOUND = _kind(
    "invoice_not_found", 404, "There is no such invoice of yours.", "Your account lists them.",
    is_of_api=False,
)  # fmt: skip
INVOICE_UNREADY = _kind(
    "invoice_unready", 409, "Nobody has said who issues invoices.",
    "Fill in Settings, Invoices: name and address.", is_of_api=False,
)  # fmt: skip
PAYMENTS_AWAY = _kind(
    "payments_away", 503, "The payment service does not answer. Nothing was charged.",
    "Try again in a minute.", 60, is_of_api=False,
)  # fmt: skip
PAYMENTS_OFF = _kind(
    "payments_off", 404, "Nothing is charged on this server.", "Plans are at /pricing/.", is_of_api=False
)  # fmt: skip
PLAN_NOT_SOLD = _kind(
    "plan_not_sold", 404, "This plan is not sold here.", "Plans are at /pricing/.", is_of_api=False
)  # fmt: skip
PRICE_DIFFERS = _kind(
    "price_differs", 409, "The payment service has another price for this plan than this page.",
    "Nothing was charged. Tell the people of this site.", is_of_api=False,
)  # fmt: skip

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

# Of one's own data, and of deleting an account.
BAD_CONFIRMATION = _kind(
    "bad_confirmation", 400, "That is not this account.", "Type the address as it is shown.",
    is_of_api=False,
)  # fmt: skip
DELETION_BEGUN = _kind(
    "deletion_begun", 409, "The account is being erased.", "It cannot be kept any more.", is_of_api=False
)  # fmt: skip
DELETION_OBSTACLES = _kind(
    "deletion_obstacles", 409, "Something has to be done before.", "See the page.", is_of_api=False
)
DELETION_PENDING = _kind(
    "deletion_pending", 409, "This account is to be deleted.", "Keep it first, at /account/delete/.",
    is_of_api=False,
)  # fmt: skip
EXPORT_NOT_FOUND = _kind(
    "export_not_found", 404, "There is no such archive of yours.", "Have a new one made.", is_of_api=False
)  # fmt: skip
EXPORT_UNDER_WAY = _kind(
    "export_under_way", 409, "An archive is being made.", "Wait for it.", is_of_api=False
)
