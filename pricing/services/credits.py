"""Applications for research credits: sent in, decided, granted, reported on."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from pricing import errors, mails
from pricing.application import missing as missing_of
from pricing.models import (
    Allotment,
    CreditApplication,
    CreditEvent,
    LedgerEntry,
    Meter,
    Plan,
)
from pricing.selectors import settings_now
from pricing.services.metering import account_of, entry_make
from pricing.services.plans import plan_set
from pricing.signals import credits_decided

State = CreditApplication.State
Kind = CreditEvent.Kind
DEFAULT_DAYS = 365
"""How long a grant lasts where nobody says otherwise."""
LONGEST_DAYS = 3 * 365


def application_begin(*, user: Any) -> CreditApplication:
    """The account's draft: the one there is, or a new one.

    Raises:
        Conflict: one of theirs is being decided.
    """
    open_ = CreditApplication.objects.filter(user=user, state__in=CreditApplication.OPEN)
    found = open_.first()
    if found is None:
        try:
            with transaction.atomic():
                return CreditApplication.objects.create(
                    user=user, full_name=user.get_full_name()[:120]
                )
        except IntegrityError:  # two tabs
            found = open_.get()
    if not found.is_editable:
        raise errors.APPLICATION_OPEN()
    return found


def application_own(*, user: Any, application_id: int) -> CreditApplication:
    """
    Raises:
        NotFound: no such application of theirs.
    """
    found = CreditApplication.objects.filter(user=user, pk=application_id).first()
    if found is None:
        raise errors.APPLICATION_NOT_FOUND()
    return found


@transaction.atomic
def application_submit(*, application: CreditApplication, answer: str = "") -> CreditApplication:
    """Send it in, or send it in again after a question.

    Raises:
        InvalidInput: something is missing, or no verified mail address is there where mail is sent.
        Conflict: it is not a draft any more.
    """
    found = CreditApplication.objects.select_for_update().get(pk=application.pk)
    if not found.is_editable:
        raise errors.APPLICATION_STATE("It has been sent in.")
    missing = missing_of(found)
    if missing:
        raise errors.APPLICATION_INCOMPLETE(
            f"Still needed: {', '.join(name for _, name in missing)}.",
            fields=[{"field": f"step {n}", "problem": name} for n, name in missing],
        )
    verified = EmailAddress.objects.filter(user=found.user, verified=True).exists()
    if settings.SENDS_MAIL and not verified:
        raise errors.APPLICATION_INCOMPLETE(
            "Verify your mail address first: decisions come by mail."
        )
    was_asked = found.state == State.ASKED
    found.state = State.SUBMITTED
    found.submitted_at = found.submitted_at or timezone.now()
    found.save()
    _note(found, Kind.ANSWERED if was_asked else Kind.SUBMITTED, answer, found.user)
    if not was_asked:
        _mail(found, mails.CREDITS_RECEIVED)
    return found


def application_withdraw(*, application: CreditApplication) -> None:
    """Take it back, whatever state it waits in."""
    open_ = CreditApplication.objects.filter(pk=application.pk, state__in=CreditApplication.OPEN)
    if open_.update(state=State.WITHDRAWN, decided_at=timezone.now()):
        _note(application, Kind.WITHDRAWN, "", application.user)


def _waiting(application: CreditApplication, by: Any, *states: str) -> CreditApplication:
    """
    Raises:
        Forbidden: it is one's own.
        Conflict: it does not wait for a decision.
    """
    found = CreditApplication.objects.select_for_update().get(pk=application.pk)
    if found.user_id == by.pk:
        raise errors.OWN_APPLICATION()
    if found.state not in (states or (State.SUBMITTED, State.HALF, State.ASKED)):
        raise errors.APPLICATION_STATE(f"It is {found.get_state_display().lower()}.")
    return found


@transaction.atomic
def application_ask(*, application: CreditApplication, by: Any, question: str) -> None:
    """Ask its applicant something; the place in the queue stays."""
    found = _waiting(application, by)
    found.state, found.first_approver = State.ASKED, None
    found.save()
    _note(found, Kind.ASKED, question, by)
    _mail(found, mails.CREDITS_ASKED, text=question)


@transaction.atomic
def application_decline(*, application: CreditApplication, by: Any, reason: str) -> None:
    """Decline it, with a reason that its applicant reads."""
    found = _waiting(application, by)
    found.state, found.decided_at = State.DECLINED, timezone.now()
    found.save()
    _note(found, Kind.DECLINED, reason, by)
    credits_decided.send(CreditApplication, application=found)
    _mail(found, mails.CREDITS_DECLINED, text=reason)


@transaction.atomic
def application_approve(
    *, application: CreditApplication, by: Any, images: int | None = None, minutes: int | None = None,
    expires_on: date | None = None, research_plan: bool = False, text: str = "",
) -> CreditApplication:  # fmt: skip
    """Grant it: in the ledger, until a day. Where two people approve, the first one's amounts wait for a
    second.

    Args:
        images, minutes: None is what was asked for, or what the first approver said.
        expires_on: the last day; None is in a year, or what the first approver said.
        research_plan: also put the account on the Research plan.

    Raises:
        Forbidden: it is one's own.
        Conflict: it does not wait for a decision, or the same admin approved it already.
        InvalidInput: nothing would be granted, or the day has passed or is too far.
    """
    found = _waiting(application, by)
    if found.state == State.HALF and found.first_approver_id == by.pk:
        raise errors.APPLICATION_STATE("You have approved it already; a second admin has to.")
    is_second = found.state == State.HALF
    granted = (
        images if images is not None else (found.approved_images if is_second else found.images)
    )
    trained = minutes if minutes is not None else (found.approved_minutes if is_second else found.training_minutes)  # fmt: skip
    last = expires_on or (found.expires_on if is_second else None)
    today = timezone.now().date()
    last = last or today + timedelta(days=DEFAULT_DAYS)
    if not granted and not trained:
        raise errors.BAD_GRANT("Grant images or training minutes.")
    if not today < last <= today + timedelta(days=LONGEST_DAYS):
        raise errors.BAD_GRANT("The last day lies ahead, within three years.")
    is_changed = is_second and (granted, trained, last) != (found.approved_images, found.approved_minutes, found.expires_on)  # fmt: skip
    found.approved_images, found.approved_minutes, found.expires_on = granted, trained, last
    if settings_now().two_people and (not is_second or is_changed):
        found.state, found.first_approver = State.HALF, by
        found.save()
        _note(found, Kind.HALF, text, by)
        return found
    found.state, found.decided_at = State.APPROVED, timezone.now()
    found.save()
    _grant(found)
    if research_plan:
        plan = Plan.objects.filter(slug="research").first()
        if plan is not None:
            plan_set(user=found.user, plan=plan, note=f"Application {found.pk}")
    _note(found, Kind.APPROVED, text, by)
    credits_decided.send(CreditApplication, application=found)
    _mail(
        found, mails.CREDITS_APPROVED, text=text, images=f"{granted or 0:,}", minutes=f"{trained or 0:,}",
        day=f"{last:%-d %B %Y}",
    )  # fmt: skip
    return found


def _grant(application: CreditApplication) -> None:
    """Write it in the ledger: an allotment for each meter, given by one entry."""
    account, now = account_of(application.user_id), timezone.now()
    assert application.expires_on is not None
    ends = datetime.combine(application.expires_on + timedelta(days=1), time(), UTC)
    amounts = (
        (Meter.IMAGES, application.approved_images or 0),
        (Meter.TRAINING, 60 * (application.approved_minutes or 0)),
    )
    for meter, amount in amounts:
        if not amount:
            continue
        pot = Allotment.objects.create(
            account=account, meter=meter, kind=Allotment.Kind.CREDIT, starts_at=now, ends_at=ends,
            granted=amount, application=application,
        )  # fmt: skip
        entry_make(pot, LedgerEntry.Kind.GRANT, "issued", "available", amount, f"Application {application.pk}")  # fmt: skip


@transaction.atomic
def grant_withdraw(*, allotment: Allotment, reason: str) -> None:
    """Take back what is left of a grant; what runs may end with what it holds.

    Raises:
        Conflict: it is no grant, or nothing is left.
    """
    pot = Allotment.objects.select_for_update(no_key=True).get(pk=allotment.pk)
    left = pot.left
    if pot.kind != Allotment.Kind.CREDIT or not left:
        raise errors.BAD_GRANT("There is nothing to take back.")
    entry_make(pot, LedgerEntry.Kind.WITHDRAW, "available", "lapsed", left, reason[:200])
    Allotment.objects.filter(pk=pot.pk).update(lapsed=F("lapsed") + left, ends_at=timezone.now())


@transaction.atomic
def application_report(*, application: CreditApplication, text: str) -> None:
    """What came of it: papers, entries, code.

    Raises:
        Conflict: it was not approved.
        InvalidInput: it is empty.
    """
    found = CreditApplication.objects.select_for_update().get(pk=application.pk)
    if found.state != State.APPROVED:
        raise errors.APPLICATION_STATE("Only an approved application is reported on.")
    text = text.strip()[:4000]
    if not text:
        raise errors.APPLICATION_INCOMPLETE("Say what came of it.", field="report")
    found.report, found.reported_at = text, timezone.now()
    found.save()
    _note(found, Kind.REPORTED, text, found.user)


def application_note(*, application: CreditApplication, by: Any, text: str) -> None:
    """A note that admins alone read."""
    _note(application, Kind.NOTE, text, by)


def _note(application: CreditApplication, kind: str, text: str, by: Any) -> None:
    CreditEvent.objects.create(application=application, kind=kind, text=text.strip()[:4000], by=by)


def _mail(application: CreditApplication, kind: mails.MailKind, **values: str) -> None:
    path = reverse("credits_application", args=[application.pk])
    mails.send_to(application.user, kind, path, title=str(application), **values)
