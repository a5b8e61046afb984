"""How much one caller may keep and have under way."""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from inference import metering
from inference.tuning import errors
from inference.tuning.models import Checkpoint, Finetune, TuningUpload
from inference.tuning.who import Who


def one_at_a_time(who: Who) -> None:
    """Let this transaction alone count what a caller has, until it ends."""
    name = f"tuning:{who.user.pk}" if who.is_account else f"tuning:{who.key}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def stored_bytes(who: Who) -> int:
    """What a caller's data sets and checkpoints take."""
    owns = who.owns
    uploads = TuningUpload.objects.filter(owns).aggregate(total=Sum("size_bytes"))["total"] or 0
    mine = Checkpoint.objects.filter(finetune__in=Finetune.objects.filter(owns))
    return uploads + sum(sum(files.values()) for files in mine.values_list("files", flat=True))


def storage_limit(who: Who) -> int:
    """Bytes that a caller may keep."""
    limit = settings.TUNING_STORAGE_MB if who.is_account else settings.TUNING_ANON_STORAGE_MB
    own = metering.meter().storage_limit_mb(who.user.pk) if who.is_account else None
    return int(limit if own is None else own) << 20


def storage_check(who: Who, more: int = 0) -> None:
    """
    Raises:
        Conflict: a caller keeps as much as they may, or would with so many bytes more.
    """
    if stored_bytes(who) + more > storage_limit(who):
        raise errors.TUNING_STORAGE_FULL(
            f"Your checkpoints and data sets may take {storage_limit(who) >> 20} MB."
        )


def finetunes_adopt(*, ids: Collection[str], user: Any) -> int:
    """Give fine-tunes that were made without an account to one; returns how many. The caller knows that they
    are theirs."""
    return Finetune.objects.filter(pk__in=ids, owner=None).update(owner=user, owner_key="")
