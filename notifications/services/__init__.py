"""Writes: events, subscriptions, deliveries."""

from notifications.services.delivering import subscription_deliver
from notifications.services.events import event_make
from notifications.services.spreading import events_spread
from notifications.services.subscriptions import (
    Wanted,
    delivery_repeat,
    failed_repeat,
    secret_rotate,
    subscription_ask,
    subscription_confirm,
    subscription_delete,
    subscription_disable,
    subscription_enable,
    subscription_make,
    subscription_pause,
    subscription_test,
    subscription_update,
)
from notifications.services.sweeping import purge, sweep

__all__ = [
    "Wanted", "delivery_repeat", "event_make", "events_spread", "failed_repeat", "purge", "secret_rotate",
    "subscription_ask", "subscription_confirm", "subscription_delete", "subscription_deliver",
    "subscription_disable", "subscription_enable", "subscription_make", "subscription_pause",
    "subscription_test", "subscription_update", "sweep",
]  # fmt: skip
