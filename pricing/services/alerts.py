"""Mails about what is nearly or wholly used up."""

from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from pricing import mails
from pricing.models import Allotment, Meter
from pricing.signals import usage_alerted

AT = (100, 80)
"""Percentages that a mail is sent about, the higher first."""


def usage_alerts() -> int:
    """Tell accounts what they have used 80 or 100 per cent of, each once; how many mails."""
    now = timezone.now()
    near = Allotment.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now), granted__gt=0, alerted__lt=AT[0], used__gte=F("granted") * 8 / 10,
        account__user__isnull=False, meter__in=(Meter.IMAGES, Meter.TRAINING),
    )  # fmt: skip
    count = 0
    for allotment_id in near.values_list("pk", flat=True)[:1000]:
        with transaction.atomic():
            pot = Allotment.objects.select_for_update(no_key=True, of=("self",)).select_related("account__user").get(pk=allotment_id)  # fmt: skip
            reached = next((p for p in AT if 100 * pot.used >= p * (pot.granted or 0)), 0)
            if reached <= pot.alerted:
                continue
            Allotment.objects.filter(pk=pot.pk).update(alerted=reached)
            count += _tell(pot, reached)
    return count


def _tell(pot: Allotment, percent: int) -> int:
    user = pot.account.user
    scale, unit = (1, "images") if pot.meter == Meter.IMAGES else (60, "training minutes")
    if user is None:
        return 0
    usage_alerted.send(Allotment, user=user, allotment=pot, percent=percent, unit=unit)
    if not user.email:
        return 0
    mails.send_to(
        user, mails.USAGE_HIGH, reverse("usage"), percent=str(percent), unit=unit,
        used=f"{pot.used // scale:,}", limit=f"{(pot.granted or 0) // scale:,}",
        ends=f"{pot.ends_at:%-d %B %Y}" if pot.ends_at else "",
    )  # fmt: skip
    return 1
