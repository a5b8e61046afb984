"""How use is metered here, for `inference`, which knows nothing of accounts (`inference.metering`)."""

import logging
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from inference.models import Job
from pricing.models import LedgerAccount, Meter
from pricing.payers import Left, Payer
from pricing.selectors import plans_now, terms_of
from pricing.services import metering
from pricing.services.metering import Reserved, What

logger = logging.getLogger(__name__)


class LedgerMeter:
    """By the ledger: accounts always; callers without one where the trial has a limit; this site's own
    work in its own account."""

    def job_reserve(self, job: Job, payer: Payer | None, *, is_site: bool) -> bool:
        account = metering.house() if is_site else _account(payer, Meter.IMAGES)
        if account is None:
            return False
        key = payer.key if payer is not None else None
        what = What(
            variant=job.variant.slug, adapter=job.adapter, skill=job.skill, source=job.caller,
            key_id=key.pk if key else 0, key_limit=key.monthly_images if key else None,
            image=job.image_sha256,
        )  # fmt: skip
        _note(payer, Meter.IMAGES, metering.reserve(account, job.pk, what=what))
        return True

    def job_ended(self, job: Job) -> None:
        used, seconds = metering.job_charge(job)
        self._end(job.pk, used, seconds)

    def training_reserve(
        self, subject: UUID, *, user_id: int | None, owner_key: str, payer: Payer | None,
        seconds: int, least: int, source: str, variant: str, adapter: str,
    ) -> int:  # fmt: skip
        if seconds < 1:
            return seconds
        account = _account(payer, Meter.TRAINING) if payer is not None else None
        if account is None and user_id is not None:
            account = metering.account_of(user_id)
        if account is None:
            return seconds
        key = payer.key if payer is not None else None
        what = What(
            variant=variant,
            adapter=adapter,
            skill="tune",
            source=source,
            key_id=key.pk if key else 0,
        )
        reserved = metering.reserve(
            account, subject, meter=Meter.TRAINING, least=least, most=seconds, what=what
        )
        _note(payer, Meter.TRAINING, reserved)
        return reserved.amount

    def ended(self, subject: UUID, used: int = 0) -> None:
        self._end(subject, used, float(used))

    def _end(self, subject: UUID, used: int, seconds: float) -> None:
        try:
            metering.end(subject, used, seconds=seconds)
        except DatabaseError:  # what has ended has ended: the sweeper comes again
            logger.exception("The reservation of %s could not be ended", subject)

    def storage_limit_mb(self, user_id: int | None) -> int | None:
        if user_id is None:
            return None
        return terms_of(LedgerAccount.objects.filter(user_id=user_id).first()).storage_mb


def _account(payer: Payer | None, meter: str) -> LedgerAccount | None:
    """Where it is counted; None where it is not."""
    if payer is None:
        return None
    account, user_id = payer.account(), payer.user_id
    if account is None and user_id is not None:
        account = metering.account_of(user_id)
    if account is not None:
        return account
    trial = plans_now().trial
    if trial.limit(meter) is None and trial.concurrent is None:
        return None
    return metering.account_of_network(payer.caller.digest)


def _note(payer: Any, meter: str, reserved: Reserved) -> None:
    if payer is None:
        return
    wait = (reserved.ends_at - timezone.now()).total_seconds() if reserved.ends_at else 0.0
    payer.left = Left(str(meter), reserved.granted, reserved.left, max(0.0, wait))
