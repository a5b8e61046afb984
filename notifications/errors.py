"""What goes wrong with subscriptions, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "notifications", is_of_api=False)

SUBSCRIPTION_NOT_FOUND = _kind(
    "subscription_not_found", 404, "There is no such subscription of yours.",
    "Your account lists them under Webhooks and mail.",
)  # fmt: skip
DELIVERY_NOT_FOUND = _kind(
    "delivery_not_found", 404, "There is no such delivery any more.", "They are kept for 30 days."
)
BAD_SUBSCRIPTION = _kind(
    "bad_subscription", 422, "The subscription is not complete.", "See what is said of each field."
)
TOO_MANY_SUBSCRIPTIONS = _kind(
    "too_many_subscriptions", 409, "There are as many as one may have.", "Delete one first."
)
SUBSCRIPTION_STATE = _kind(
    "subscription_state", 409, "That is not possible in its present state.", "Reload the page."
)
LINK_EXPIRED = _kind(
    "link_expired", 404, "This link works no more.", "Subscribe again to get another."
)
