"""How often a score may be told: counted for the team, and for the person who submits.

What a person used counts in every team they submit for, so that leaving one, joining another or making
a new one gives nothing. What a team used counts also when who used it has left. The day is that on
which the request was received.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.crypto import salted_hmac

from leaderboard import errors
from leaderboard.models import Phase, QuotaLine, Split, Submission, Team


def person_of(address: str) -> str:
    """What is kept of a person's address, so that a new account under it goes on with the old one's
    count: a keyed hash, without what is after a plus."""
    name, _, domain = address.strip().casefold().rpartition("@")
    if not domain or not name:
        return ""
    return salted_hmac("leaderboard.person", f"{name.partition('+')[0]}@{domain}").hexdigest()


def _persons(user: Any) -> Iterator[str]:
    """Of the addresses that are a user's own: the account's, and others that were verified."""
    yield person_of(user.email)
    verified = EmailAddress.objects.filter(user=user, verified=True)
    yield from map(person_of, verified.values_list("email", flat=True))


def _mine(team: Team | None, user: Any) -> Q:
    """Lines that count for a team when a user submits for it."""
    mine = Q(pk__in=[])
    if team is not None:
        mine |= Q(team=team)
    if user is not None and user.pk:
        mine |= Q(user=user) | Q(person__in=set(filter(None, _persons(user))))
    return mine


def day_of(moment: datetime) -> Any:
    """The day in UTC."""
    return moment.astimezone(UTC).date()


def quota_left(
    *, team: Team | None, split: Split, phase: Phase | None = None, user: Any = None,
    at: datetime | None = None,
) -> dict[str, int | None]:  # fmt: skip
    """Submissions left on a day and in all, of a split or of a challenge's phase; None is no limit.

    Args:
        user: who would submit; without, the team's own count alone.
        at: when; now by default.
    """
    (left,) = quotas_left(team=team, splits=[split], phase=phase, user=user, at=at)
    return left


def quotas_left(
    *, team: Team | None, splits: Sequence[Split], phase: Phase | None = None, user: Any = None,
    at: datetime | None = None,
) -> list[dict[str, int | None]]:  # fmt: skip
    """The same of several splits, in their order; two queries."""
    lines = QuotaLine.objects.filter(_mine(team, user), split__in=splits, phase=phase)
    day = day_of(at or timezone.now())
    sums = lines.order_by().values("split").annotate(
        used=Sum("amount"), today=Sum("amount", filter=Q(day=day))
    )  # fmt: skip
    found: dict[int, Any] = {row["split"]: row for row in sums}

    def left(limit: int | None, split: Split, spent: str) -> int | None:
        used = found.get(split.pk, {}).get(spent) or 0
        return None if limit is None else max(0, limit - used)

    return [
        {
            "today": left((phase or split).daily_limit, split, "today"),
            "total": left((phase or split).total_limit, split, "used"),
        }
        for split in splits
    ]


def quota_take(*, submission: Submission, check: Callable[[], Any] = lambda: None) -> None:
    """Save a submission and count it, one after the other for each person and each team; expects a
    transaction.

    Raises:
        Forbidden: none left, with when there will be again.
    """
    team, split, phase, user = submission.team, submission.split, submission.phase, submission.created_by  # fmt: skip
    if user is not None:  # people before teams, everywhere
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
    Team.objects.select_for_update().get(pk=team.pk)
    check()
    left = quota_left(team=team, split=split, phase=phase, user=user, at=submission.created_at)
    of = phase or split

    def who(part: str) -> str:
        own = quota_left(team=team, split=split, phase=phase, at=submission.created_at)
        return "Your team has" if own[part] == 0 else "You have, in this team or others,"

    if not team.is_ours and left["today"] == 0:
        raise errors.QUOTA_DAY(
            f"{who('today')} used the {of.daily_limit} submissions of today.",
            today=0,
            total=left["total"],
        )
    if not team.is_ours and left["total"] == 0:
        raise errors.QUOTA_TOTAL(
            f"{who('total')} used all {of.total_limit} submissions to this {'phase' if phase else 'split'}.",
            total=0,
        )
    submission.save(force_insert=True)
    QuotaLine.objects.create(
        team=team, user=user, person=person_of(user.email) if user else "", split=split, phase=phase,
        submission=submission, amount=1, reason="submitted", day=day_of(submission.created_at),
    )  # fmt: skip


def quota_refund(submission: Submission, reason: str) -> None:
    """Give back what a submission cost, to whom and for the day that it was taken; once, however often
    it is called."""
    taken = QuotaLine.objects.filter(submission=submission, amount=1).first()
    if taken is None:
        return
    QuotaLine.objects.bulk_create(
        [QuotaLine(team=taken.team, user=taken.user, person=taken.person, split=taken.split,
                   phase=taken.phase, submission=submission, amount=-1, reason=reason, day=taken.day)],
        ignore_conflicts=True,
    )  # fmt: skip
