"""What the playground does about facts of the rooms below."""

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import reverse

from inference import site
from inference.tuning.models import TuningRun
from inference.tuning.signals import run_finished
from playground.guided import services as guided
from playground.mails import RUN_ENDED
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor, token_of
from playground.tuning.selectors import reason_of, state_of
from pricing import mails

MAIL_AFTER_S = 60
"""Of a run that took less, its owner is still looking."""


@receiver(run_finished)
def _run_finished(run: TuningRun, **_: Any) -> None:
    """Write to a run's owner, but for one that they cancelled or that was over at once."""
    owner = run.finetune.owner
    is_short = run.finished_at is None or (run.finished_at - run.created_at).total_seconds() < MAIL_AFTER_S  # fmt: skip
    if (
        owner is None
        or is_short
        or run.status == TuningRun.Status.CANCELLED
        or not settings.SENDS_MAIL
    ):
        return
    addresses = EmailAddress.objects.filter(user=owner, verified=True, primary=True)
    path = reverse("playground:tuning_run", args=[run.pk])
    mails.send(RUN_ENDED, addresses.values_list("email", flat=True), {
        "title": run.title, "state": state_of(run).lower(),
        "reason": run.error_message or reason_of(run),
        "link": site.url(path),
    })  # fmt: skip


@receiver(user_logged_in)
def _signed_in(request: HttpRequest | None, user: Any, **_: Any) -> None:
    """What this browser saved before belongs to the account from now on, also after signing up."""
    if request is not None:
        sessions.sessions_adopt(user=user, visitor=Visitor(token=token_of(request)))
        guided.models_adopt(user=user)
