"""What is sent to each kind of receiver: one body for an event, and the headers of one try."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from inference import site
from inference.safe_fetch import Reply, fetch
from inference.sealing import unseal
from notifications import signing
from notifications.models import Delivery, Event, Subscription

SECONDS = 15.0
"""For a whole try; well under the lease of a subscription and the broker's patience."""
MOST_BYTES = 4096
"""Of an answer, for the log."""
DISCORD_LENGTH = 2000
Target = Subscription.Target


@dataclass(frozen=True, slots=True)
class Request:
    """One try, as it will be sent."""

    headers: dict[str, str]
    body: bytes


def link_of(event: Event) -> str:
    """The page about an event."""
    return site.url(event.path)


def leave_url(subscription: Subscription) -> str:
    """Where a subscription is changed or ended without an account."""
    return site.url(f"/subscriptions/{signing.leave_token(subscription.pk)}/")


def unsubscribe_url(subscription: Subscription) -> str:
    """Where a mail program ends it by one POST (RFC 8058)."""
    return site.url(f"/subscriptions/{signing.leave_token(subscription.pk)}/unsubscribe/")


def _standard(event: Event, subscription: Subscription) -> bytes:
    """A thin body: what happened, its id, and where to read of it. Under 20 kB by the fields' lengths."""
    body = {
        "type": event.kind,
        "timestamp": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {"id": event.uid, "title": event.title, "url": link_of(event), **event.data},
    }
    if subscription.user_id is None:
        body["unsubscribe_url"] = leave_url(subscription)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _slack(event: Event, subscription: Subscription) -> bytes:
    title = _slack_text(event.title)
    text = f"<{link_of(event)}|{title}>"
    if event.text:
        text += f"\n{_slack_text(event.text)}"
    body = {"text": text, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(body, ensure_ascii=False).encode()


def _slack_text(text: str) -> str:
    """Three characters have a meaning there, links and mentions begin with one of them; a | would end a
    link's address."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("|", "¦")


def _discord(event: Event, subscription: Subscription) -> bytes:
    lines = [f"**{_discord_text(event.title)}**", _discord_text(event.text), f"<{link_of(event)}>"]
    body = {
        "content": "\n".join(line for line in lines if line)[:DISCORD_LENGTH],
        "allowed_mentions": {"parse": []},  # whatever a title says, nobody is called
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _discord_text(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\*_`~|>[]()#" else char for char in text)


_BODIES: dict[str, Callable[[Event, Subscription], bytes]] = {
    Target.WEBHOOK: _standard, Target.SLACK: _slack, Target.DISCORD: _discord,
}  # fmt: skip


def request_of(delivery: Delivery) -> Request:
    """A try of now. The body is the same at each; its time and so its signature are not."""
    subscription = delivery.subscription
    body = _BODIES[subscription.target](delivery.event, subscription)
    headers = {"Content-Type": "application/json", "User-Agent": "moondream-hub-webhooks/1"}
    if subscription.is_signed:
        now = int(time.time())
        headers |= {
            "webhook-id": delivery.uid, "webhook-timestamp": str(now),
            "webhook-signature": signing.signature(delivery.uid, now, body, secrets_of(subscription)),
        }  # fmt: skip
    return Request(headers, body)


def secrets_of(subscription: Subscription) -> list[str]:
    """The secrets that sign now, the newest first."""
    sealed = [subscription.secret_sealed]
    if subscription.two_secrets:
        sealed.append(subscription.former_secret_sealed)
    return [secret for one in sealed if (secret := unseal(one))]


def post(subscription: Subscription, request: Request) -> Reply:
    """
    Raises:
        AddressRefusedError, FetchError: it may not be asked, or nobody answers.
    """
    url = unseal(subscription.url_sealed) or ""
    return fetch(
        "POST", url, content=request.body, headers=request.headers, seconds=SECONDS,
        most_bytes=MOST_BYTES, cut=True,
    )  # fmt: skip
