"""Paired tests between entries, kept from one table to the next."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import BinaryField, F, Func, IntegerField
from django.db.models.functions import Coalesce

from inference.engine.metrics.numeric import np
from leaderboard.metrics.statistics import (
    PAIR_VERSION,
    RANK_RESAMPLES,
    RankRange,
    paired_p,
    pairs_of,
    ranges_of,
)
from leaderboard.models import PairTest, Score, Split

_KEPT_AT_ONCE = 40
"""Tests that are saved together: what a killed worker has to make again, at most."""
_FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class _Known:
    """A score without its items."""

    pk: int
    value: float
    digest: bytes
    """SHA-256 of its items, or of what its units contribute."""


def pair_ranges(
    split: Split, scores: Sequence[int], *, higher_is_better: bool
) -> list[RankRange | None]:
    """The ranks that paired tests leave open to entries, by the ids of their scores; None for a score
    of before there was anything to pair by. Only what is not kept is tested."""
    known = _known(split, scores)
    found = [known[pk] for pk in scores if pk in known]
    pairs = [(found[i], found[j]) for i, j in pairs_of(len(found))]
    kept = _kept(known)
    missing = [(a, b) for a, b in pairs if _ordered(a, b) not in kept]
    tests = kept | (dict(_tested(split, missing)) if missing else {})
    p_values = [tests[_ordered(a, b)] for a, b in pairs]
    values = [s.value for s in found]
    ranges = dict(zip((s.pk for s in found), ranges_of(values, p_values, higher_is_better=higher_is_better), strict=True))  # fmt: skip
    # What cannot be tested may stand on either side of the others.
    untested = len(scores) - len(found)
    return [
        RankRange(r.first, r.last + untested) if (r := ranges.get(pk)) else None for pk in scores
    ]


def kept_p(split: Split, a: int, b: int) -> float | None:
    """What the test of two scores gave, by their ids; None where it was not made."""
    return _kept(_known(split, [a, b])).get((min(a, b), max(a, b)))


_Pair = tuple[int, int]


def _ordered(a: _Known, b: _Known) -> _Pair:
    return min(a.pk, b.pk), max(a.pk, b.pk)


def _basis(first: bytes, second: bytes) -> str:
    """What a test rests on, by the digests of both scores."""
    test = f"{PAIR_VERSION}:{RANK_RESAMPLES}:".encode()
    return hashlib.sha256(test + first + second).hexdigest()


def _known(split: Split, scores: Sequence[int]) -> dict[int, _Known]:
    """Those that have a figure for every item of the split, or contributions of as many units as most;
    the database hashes them, so that large ones are not read where every pair is kept."""
    kept = Coalesce("contributions", "per_item")
    digest: Any = Func(kept, function="sha256", output_field=BinaryField())
    lengths: dict[str, Any] = {
        name: Func(F(name), function="length", output_field=IntegerField())
        for name in ("contributions", "per_item")
    }
    rows = Score.objects.filter(pk__in=scores).annotate(
        digest=digest, unit_bytes=lengths["contributions"], item_bytes=lengths["per_item"]
    )
    found = list(rows.values_list("pk", "value", "digest", "unit_bytes", "item_bytes"))
    counts = Counter(units for *_, units, _ in found if units)
    usual = counts.most_common(1)[0][0] if counts else 0
    return {
        pk: _Known(pk, value, bytes(digest))
        for pk, value, digest, units, items in found
        if (units == usual if counts else items == _FLOAT32 * split.item_count)
    }


def _kept(known: Mapping[int, _Known]) -> dict[_Pair, float]:
    """Tests that rest on the scores as they are."""
    rows = PairTest.objects.filter(first__in=known, second__in=known)
    return {
        (t.first_id, t.second_id): t.p
        for t in rows
        if t.basis == _basis(known[t.first_id].digest, known[t.second_id].digest)
    }


def _tested(
    split: Split, missing: Sequence[tuple[_Known, _Known]]
) -> Iterator[tuple[_Pair, float]]:
    units = split.units()
    sums: dict[int, np.ndarray] = {}
    digests: dict[int, bytes] = {}
    needed = {score.pk for pair in missing for score in pair}
    for score in Score.objects.filter(pk__in=needed).iterator(1):
        # Hashed as it was read: it may have been scored anew since it was looked at.
        stored = score.contributions if score.contributions is not None else score.per_item
        digests[score.pk] = hashlib.sha256(stored or b"").digest()
        found = score.by_unit(units)
        assert found is not None
        sums[score.pk] = found
    done: list[PairTest] = []
    for first, second in (_ordered(a, b) for a, b in missing):
        p = paired_p(sums[first], sums[second], resamples=RANK_RESAMPLES)
        basis = _basis(digests[first], digests[second])
        done.append(PairTest(first_id=first, second_id=second, basis=basis, p=p))
        if len(done) == _KEPT_AT_ONCE:
            _keep(done)
            done = []
        yield (first, second), p
    _keep(done)


def _keep(tests: Sequence[PairTest]) -> None:
    # A score that was deleted meanwhile takes its tests along: then there is nothing to keep.
    with contextlib.suppress(IntegrityError), transaction.atomic():
        PairTest.objects.bulk_create(
            tests, update_conflicts=True, unique_fields=["first", "second"],
            update_fields=["basis", "p"],
        )  # fmt: skip
