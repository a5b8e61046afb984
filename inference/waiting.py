"""What waits for somebody, on the front of Wagtail's admin. Each room says what it has: a function
registered as `register_waiting` gives its `Waiting`s for a user."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from wagtail import hooks
from wagtail.admin.ui.components import Component

HOOK = "register_waiting"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One kind of thing that waits: counted by one query, listed at an address."""

    label: str
    """What is counted, in the plural: "prompts to decide on"."""
    count: Callable[[], int]
    url: str
    may: bool
    """Whether the user may do something about it; otherwise nothing is counted."""


def listed(model: Any, **filters: str) -> str:
    """Address of a model's list in the admin, with its filters set."""
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    address = reverse(model.snippet_viewset.get_url_name("list"))
    return f"{address}?{query}" if query else address


def waiting_for(user: Any) -> Iterator[tuple[int, Waiting]]:
    """What waits for a user, with how many; nothing of what is done."""
    for room in hooks.get_hooks(HOOK):
        for item in room(user):
            count = item.count() if item.may else 0
            if count:
                yield count, item


class WaitingPanel(Component):
    """The list, or that nothing waits."""

    name = "what_waits"
    template_name = "waiting_panel.html"
    order = 50

    def get_context_data(self, parent_context: Any) -> dict[str, Any]:
        return {"items": list(waiting_for(parent_context["request"].user))}
