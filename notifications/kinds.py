"""What can be told: each kind of event once, with who may have it and whether it may still be told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wagtail.models import Page

from leaderboard.models import entries_shown
from research.selectors import readable

if TYPE_CHECKING:
    from notifications.models import Event


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of event, as `type` in a webhook's body names it."""

    name: str
    label: str
    group: str
    is_public: bool = True
    """Everybody may subscribe; otherwise only those whom an event names have it."""
    is_chosen: bool = True
    """Subscribers choose it; otherwise it belongs to a subscription itself."""
    has_board: bool = False
    """Subscribers may narrow it to some leaderboards."""
    still_holds: Callable[["Event"], bool] = lambda _: True
    """Whether what a public event tells of may be read by everybody now."""

    def __post_init__(self) -> None:
        KINDS[self.name] = self


KINDS: dict[str, Kind] = {}
"""All of them, by name, in the order in which they are offered."""


def _is_readable(event: "Event") -> bool:
    return bool(readable(Page.objects.filter(pk=int(event.subject))).exists())


def _is_on_board(event: "Event") -> bool:
    on_board = entries_shown().filter(submission_id=event.subject, benchmark__is_shown=True)
    return on_board.filter(benchmark=event.benchmark).exists()


PAPER = Kind("paper.published", "A paper is published", "Research", still_holds=_is_readable)
RELEASE = Kind("release.published", "A release is published", "Research", still_holds=_is_readable)
CHALLENGE = Kind(
    "challenge.published", "A challenge is announced", "Research", still_holds=_is_readable
)
TOP_CHANGED = Kind(
    "leaderboard.top1_changed", "Another entry leads a leaderboard", "Leaderboards", has_board=True,
    still_holds=_is_on_board,
)  # fmt: skip
ENTRY_ADDED = Kind(
    "leaderboard.entry_added", "A new entry is on a leaderboard", "Leaderboards", has_board=True,
    still_holds=_is_on_board,
)  # fmt: skip
SUBMISSION_SCORED = Kind(
    "submission.scored", "A submission of your team is scored", "Your account", is_public=False,
    has_board=True,
)  # fmt: skip
FINETUNE_FINISHED = Kind(
    "finetune.finished", "A fine-tune of yours has ended", "Your account", is_public=False
)
CREDITS_DECIDED = Kind(
    "credits.decided", "Your application for credits is decided", "Your account", is_public=False
)
USAGE_ALERT = Kind(
    "usage.alert", "80 or 100 per cent of an allowance are used", "Your account", is_public=False
)
TEST = Kind("webhook.test", "Test", "", is_public=False, is_chosen=False)
RECOVERED = Kind("webhook.recovered", "The endpoint answers again", "", is_public=False, is_chosen=False)  # fmt: skip


def choosable(*, with_private: bool) -> list[Kind]:
    """Those that a subscriber is offered."""
    return [k for k in KINDS.values() if k.is_chosen and (k.is_public or with_private)]
