"""Reserving and ending, each one statement of `pricing/sql/ledger.sql`; and what sweeps up behind."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from inference import site
from inference.errors import DomainError, kind_of
from inference.models import Job
from inference.tuning.models import Finetune, Operation, TuningRun, TuningUpload
from inference.tuning.services.owners import stored_bytes
from inference.tuning.who import Who
from pricing import errors
from pricing.models import Allotment, Hold, LedgerAccount, LedgerEntry, Meter
from pricing.periods import ends, month_of
from pricing.selectors import Terms, terms_of

logger = logging.getLogger(__name__)
_RESERVE = f"SELECT * FROM pricing_reserve({', '.join(['%s'] * 19)})"  # noqa: S608  # placeholders
_END = "SELECT settled, released FROM pricing_end(%s, %s, %s, %s)"
_SWEEP_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class What:
    """What a reservation is for, as the usage page tells it."""

    variant: str = ""
    adapter: str = ""
    skill: str = ""
    source: str = ""
    key_id: int = 0
    key_limit: int | None = None
    image: str = ""
    """SHA-256 of the image, where it may be one of a registered benchmark."""


class Reserved(NamedTuple):
    """What came of it, and what the account may use of the meter now."""

    outcome: str
    amount: int
    granted: int | None
    """In all; None without a limit."""
    used: int
    held: int
    ends_at: datetime | None

    @property
    def left(self) -> int | None:
        return None if self.granted is None else max(0, self.granted - self.used - self.held)


def account_of(user_id: int) -> LedgerAccount:
    """Where a person's use is counted; made when it is first used."""
    return LedgerAccount.objects.get_or_create(user_id=user_id)[0]


def account_of_network(digest: str) -> LedgerAccount:
    """Where use without an account is counted, where that has a limit."""
    return LedgerAccount.objects.get_or_create(network=digest)[0]


def house() -> LedgerAccount:
    """Where this site's own use is counted."""
    return LedgerAccount.objects.get_or_create(is_house=True)[0]


def reserve(
    account: LedgerAccount, subject: UUID, *, meter: str = Meter.IMAGES, least: int = 1, most: int = 1,
    what: What = What(), at: datetime | None = None,  # it is frozen
) -> Reserved:  # fmt: skip
    """Take between `least` and `most` out of what an account may use, for a subject. One statement.

    Repeated for the same subject, it takes nothing more.

    Raises:
        DomainError: there is not so much; with what was used, what is left and when there is more.
    """
    terms, now = terms_of(account), at or timezone.now()
    month = month_of(now)
    of_images = meter == Meter.IMAGES
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, [
            account.pk, subject, meter, least, most, now, month, ends(month), terms.version_id,
            terms.limit(meter), of_images and terms.benchmarks_only,
            terms.concurrent if of_images else None, what.image, what.key_id,
            what.key_limit if of_images else None, what.variant, what.adapter, what.skill, what.source,
        ])  # fmt: skip
        reserved = Reserved(*cursor.fetchone())
    if reserved.outcome not in ("ok", "again", "ended"):
        raise _refusal(reserved, meter, terms, now)
    return reserved


def end(subject: UUID, used: int = 0, *, seconds: float = 0.0) -> bool:
    """Settle what a subject used of its reservation and release the rest; whether there was one that was
    open. One statement, and once: whoever comes second finds nothing.

    Args:
        used: of what was reserved; more than that is not counted.
        seconds: that a worker took.
    """
    with connection.cursor() as cursor:
        cursor.execute(_END, [subject, used, seconds, timezone.now()])
        return cursor.fetchone() is not None


def _refusal(reserved: Reserved, meter: str, terms: Terms, now: datetime) -> DomainError:
    """What somebody is told who cannot have more: what was used, what is left, when there is more, and
    where to ask."""
    root = site.url()
    more_at = ends(month_of(now))
    told: dict[str, Any] = {
        "meter": str(meter), "plan": terms.name, "limit": reserved.granted, "used": reserved.used,
        "reserved": reserved.held, "left": reserved.left, "resets_at": more_at.isoformat(),
        "usage_url": f"{root}/account/usage/", "more_url": f"{root}/pricing/",
    }  # fmt: skip
    day = f"{more_at:%-d %B}"
    match reserved.outcome:
        case "at_once":
            return errors.TOO_MANY_AT_ONCE(
                f"{reserved.held} of your questions are under way; the plan {terms.name} answers "
                f"{reserved.granted} at a time.", retry_after=2, **told,
            )  # fmt: skip
        case "key_spent":
            return errors.KEY_SPENT(
                f"This key has used {reserved.used:,} of the {reserved.granted:,} images it may use a month.",
                hint=f"There are more from {day}. Its owner changes the limit at {root}/account/keys/.",
                **told,
            )  # fmt: skip
        case "outside":
            return errors.IMAGE_NOT_REGISTERED(
                f"The plan {terms.name} is for images of registered benchmarks and data sets, and this one is "
                "in none of them.",
                hint=f"Use an image of a benchmark as it is published, or ask for credits for your own: {root}/account/credits/.",
                **told,
            )  # fmt: skip
    if meter == Meter.TRAINING:
        used, limit = math.ceil(reserved.used / 60), (reserved.granted or 0) // 60
        return errors.TRAINING_SPENT(
            f"{used:,} of {limit:,} training minutes are used, and what is left is held by what runs.",
            hint=f"There are more from {day}. Your use: {root}/account/usage/. More: {root}/pricing/.",
            **told,
        )  # fmt: skip
    return errors.IMAGES_SPENT(
        f"{reserved.used:,} of {reserved.granted or 0:,} images are used.",
        hint=f"There are more from {day}. Your use: {root}/account/usage/. More: {root}/pricing/.",
        **told,
    )  # fmt: skip


# What sweeps up.


def job_charge(job: Job) -> tuple[int, float]:
    """What a job that has ended costs in images, and the seconds a worker took. An answer counts, and one
    that its asker broke off while it was made; what failed, or never began, does not."""
    began = job.attempt > 0
    counts = job.status == Job.Status.SUCCEEDED or (job.status == Job.Status.CANCELLED and began)
    timings = job.timings or {}
    spent_ms = float(timings.get("total_ms") or 0) - float(timings.get("queue_ms") or 0)
    return int(counts), max(0.0, spent_ms / 1000)


def holds_sweep() -> int:
    """End reservations whose job, run or call has ended or is gone: its worker or its web process was lost
    before it could. How many."""
    before = timezone.now() - _SWEEP_AFTER
    open_ = Hold.objects.filter(created_at__lt=before)
    by_meter: dict[str, set[UUID]] = {}
    for meter, subject in open_.values_list("meter", "subject").iterator():
        by_meter.setdefault(meter, set()).add(subject)
    count = _sweep_jobs(by_meter.get(Meter.IMAGES, set()))
    count += _sweep_training(by_meter.get(Meter.TRAINING, set()))
    return count


def _sweep_jobs(subjects: set[UUID]) -> int:
    jobs = Job.objects.filter(pk__in=subjects).only("status", "attempt", "timings")
    found = {job.pk: job for job in jobs}
    count = 0
    for subject in subjects:
        job = found.get(subject)
        if job is None:
            count += end(subject)
        elif job.is_finished:
            used, seconds = job_charge(job)
            count += end(subject, used, seconds=seconds)
    return count


def _sweep_training(subjects: set[UUID]) -> int:
    runs = {run.pk: run for run in TuningRun.objects.filter(pk__in=subjects)}
    calls = {call.pk: call for call in Operation.objects.filter(pk__in=subjects)}
    count = 0
    for subject in subjects:
        run, call = runs.get(subject), calls.get(subject)
        if run is not None and run.is_finished:
            is_ours = run.status == run.Status.FAILED and kind_of(run.error_code).status >= 500
            count += end(subject, 0 if is_ours else math.ceil(run.spent_s))
        elif call is not None and call.is_finished:
            count += end(subject, _call_seconds(call))
        elif run is None and call is None:
            count += end(subject)
    return count


def _call_seconds(call: Operation) -> int:
    if call.status != Operation.Status.SUCCEEDED or not call.started_at or not call.finished_at:
        return 0
    return math.ceil((call.finished_at - call.started_at).total_seconds())


def allotments_lapse() -> int:
    """Write off what is left of allotments that have ended; how many. What is still held of one lapses
    when it is given back."""
    over = Allotment.objects.filter(
        ends_at__lt=timezone.now(), granted__gt=F("held") + F("used") + F("lapsed")
    )
    count = 0
    for allotment_id in over.values_list("pk", flat=True)[:5000]:
        with transaction.atomic():
            pot = Allotment.objects.select_for_update(no_key=True).get(pk=allotment_id)
            if pot.left:
                entry_make(pot, LedgerEntry.Kind.LAPSE, "available", "lapsed", pot.left)
                Allotment.objects.filter(pk=pot.pk).update(lapsed=F("lapsed") + pot.left)
                count += 1
    return count


def entry_make(
    pot: Allotment, kind: str, debit: str, credit: str, amount: int, reason: str = ""
) -> None:
    """Write one line of the ledger: an amount goes from one side of an allotment to another. Its counters are
    the caller's to change, in the same transaction."""
    LedgerEntry.objects.create(
        allotment=pot, account_id=pot.account_id, kind=kind, debit=debit, credit=credit,
        amount=amount, reason=reason,
    )  # fmt: skip


_STORAGE = UUID("8d0f2d0e-6a55-4a2e-9a3e-2f6f0c0f5a11")


def storage_owners() -> list[int]:
    """Accounts that keep data sets or fine-tunes."""
    owners = set(Finetune.objects.exclude(owner=None).values_list("owner", flat=True))
    owners |= set(TuningUpload.objects.exclude(owner=None).values_list("owner", flat=True))
    return sorted(owners)


def storage_record(user_ids: Iterable[int]) -> int:
    """Note what accounts keep today, in MB for a day; once a day for each. How many."""
    today, count = timezone.now().date(), 0
    from django.contrib.auth import get_user_model

    for user in get_user_model().objects.filter(pk__in=list(user_ids)):
        megabytes = math.ceil(stored_bytes(Who(user)) / 2**20)
        if not megabytes:
            continue
        account = account_of(user.pk)
        subject = uuid5(_STORAGE, f"{account.pk} {today}")
        if LedgerEntry.objects.filter(subject=subject).exists():
            continue
        reserve(account, subject, meter=Meter.STORAGE, least=megabytes, most=megabytes, what=What(source="storage"))  # fmt: skip
        count += end(subject, megabytes)
    return count
