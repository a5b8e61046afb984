"""What is done to sealed references: sealed anew with another key, and made public for good."""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Replace
from django.utils import timezone

from inference.errors import DomainError
from leaderboard import errors, vault
from leaderboard.models import BenchmarkItem, LogLine, Run, Score, Split, unranked_phases

logger = logging.getLogger(__name__)
PENDING = "pending"
"""Stands in a signature for a hash that an upgrade took out, until the split is sealed anew."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What became of one split."""

    split: Split
    key_id: str
    """Of the key it is sealed with now."""
    is_new: bool = True
    problem: str = ""


def references_reseal() -> list[Resealed]:
    """Seal every split with the newest key, and give those a data hash that have none. Each is done
    by itself: what was done before a stop stays done, and one that cannot be opened stops no other."""
    found = []
    for pk in Split.objects.order_by("pk").values_list("pk", flat=True):
        try:
            found.append(_reseal(pk))
        except DomainError as error:
            split = Split.objects.select_related("benchmark").get(pk=pk)
            found.append(Resealed(split, "", is_new=False, problem=f"{error.message} {error.hint}"))
    return found


@transaction.atomic
def _reseal(pk: int) -> Resealed:
    split = Split.objects.select_for_update(of=("self",)).select_related("benchmark").get(pk=pk)
    newest = vault.keys()[0].id
    if not split.sealed_as:
        return Resealed(split, "", is_new=False)
    opened = vault.opened(split)
    if opened.key_id == newest and split.data_hash:
        return Resealed(split, newest, is_new=False)
    vault.seal(split, opened.items, hash_key=opened.hash_key)
    split.slices = dict(Counter(item.category for item in opened.items if item.category))
    _rehash(split, vault.fingerprint(split, opened.items, opened.hash_key))
    return Resealed(split, newest)


def _rehash(split: Split, digest: str) -> None:
    """Give a split its data hash, and all that names it."""
    before = f"data:{split.data_hash[:12] or PENDING}"
    split.data_hash = digest
    split.save()
    Score.objects.filter(submission__split=split).update(
        signature=Replace(F("signature"), Value(before), Value(f"data:{digest[:12]}"))
    )
    Run.objects.filter(split=split).update(data_hash=digest)


def publish_refusal(split: Split) -> str:
    """Why a split's references cannot become public now; "" if they can."""
    if split.is_public:
        return "Its references are public."
    waiting = unranked_phases().filter(split=split).first()
    if waiting is not None:
        return f"“{waiting.challenge.title}” has no final ranking yet."
    return ""


@transaction.atomic
def split_publish(*, split: Split, by: Any, confirm: str) -> Split:
    """Make a hidden split's references public: for good, and told in the log. A split that ranks
    takes no submissions from then on.

    Args:
        confirm: the split's own "benchmark/name", written out by who decides it.

    Raises:
        InvalidInput: `confirm` is something else.
        Conflict: they are public, or a challenge still needs them.
    """
    split = Split.objects.select_for_update(of=("self",)).select_related("benchmark").get(pk=split.pk)  # fmt: skip
    name = f"{split.benchmark.slug}/{split.name}"
    refused = publish_refusal(split)
    if refused:
        raise errors.SPLIT_VISIBILITY(refused)
    if confirm.strip() != name:
        raise errors.NOT_CONFIRMED(f"Write {name} to confirm.", field="confirm")
    opened = vault.opened(split)
    Split.objects.filter(pk=split.pk).update(is_public=True, published_at=timezone.now())
    split = Split.objects.select_related("benchmark").get(pk=split.pk)
    _rehash(split, vault.fingerprint(split, opened.items, opened.hash_key))
    categories = {item.key: item.category for item in opened.items}
    rows = list(split.items.all())
    for row in rows:
        row.category = categories[row.key]
    BenchmarkItem.objects.bulk_update(rows, ["category"], batch_size=1000)
    told = f"The {split.item_count} references of {split.name} are public from now on"
    for actor, is_public in (("organisers", True), (str(by or "organisers")[:80], False)):
        LogLine.objects.create(
            benchmark=split.benchmark, actor=actor, action="references published", text=told,
            is_public=is_public,
        )  # fmt: skip
    logger.warning("The references of %s became public", name)
    return split
