"""Mails to subscribers (`pricing.mails`)."""

from pricing.mails import MailKind

_SITE = ("The site's address, without https://", "hub.example.org")
_LEAVE = (
    "Where one unsubscribes, or chooses otherwise",
    "https://hub.example.org/subscriptions/1:x/",
)

CONFIRM = MailKind(
    "subscription_confirm", "Somebody subscribes to news with this address",
    "[Moondream hub] Confirm your subscription",
    "Somebody, perhaps you, asked {site} to send news to {where}:\n\n{kinds}\n\nNothing is sent until you "
    "confirm it here, within seven days:\n\n{link}\n\nIf it was not you, ignore this mail.",
    {
        "site": _SITE, "where": ("The mail address, or the webhook's host", "ada@example.org"),
        "kinds": ("What was chosen, a line each", "- A paper is published"),
        "link": ("Where it is confirmed", "https://hub.example.org/subscriptions/confirm/1:x/"),
    },
    needed=("link",),
)  # fmt: skip
NEWS = MailKind(
    "subscription_news", "Something happened that a subscriber chose to be told of",
    "[Moondream hub] {title}",
    "{title}\n\n{text}\n\n{link}\n\n--\nYou chose to be told of this by {site}. Unsubscribe, or choose "
    "otherwise: {leave}",
    {
        "site": _SITE, "title": ("What happened", "New paper: Small models that point"),
        "text": ("More about it; may be empty", "We train a model of nine million parameters."),
        "link": ("The page about it", "https://hub.example.org/research/papers/pointing/"),
        "leave": _LEAVE,
    },
    needed=("link", "leave"),
)  # fmt: skip
DIGEST = MailKind(
    "subscription_digest", "A day or a week is over, for subscribers who chose one mail for it",
    "[Moondream hub] {count} news",
    "{news}\n\n--\nYou chose one mail a {period} from {site}. Unsubscribe, or choose otherwise: {leave}",
    {
        "site": _SITE, "count": ("How many there are", "2"),
        "news": ("Each with its title and link", "New paper: Small models that point\nhttps://hub.example.org/research/papers/pointing/"),
        "period": ("“day” or “week”", "week"), "leave": _LEAVE,
    },
    needed=("news", "leave"),
)  # fmt: skip
DISABLED = MailKind(
    "webhook_disabled", "A webhook's receiver has failed for days, and nothing more is sent to it",
    "[Moondream hub] The webhook {name} is disabled",
    "Nothing could be delivered to {where} since {since}: {reason}\n\nIt is disabled: nothing more is sent to "
    "it. Once the receiver works, enable it again; what was missed is listed there and can be sent:\n\n{link}",
    {
        "site": _SITE, "account": ("The account's name; may be empty", "ada"),
        "name": ("The webhook's name", "Lab bot"), "where": ("Its host", "hooks.example.org"),
        "since": ("When it first failed", "1 December 2026, 08:00 UTC"),
        "reason": ("What went wrong last", "It answers with 500."),
        "link": ("Its page", "https://hub.example.org/account/webhooks/1/"),
    },
    needed=("link",),
)  # fmt: skip
