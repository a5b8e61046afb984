"""Paired tests between entries, kept from one table to the next."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import BinaryField, F, Func, IntegerField

from leaderboard.metrics.statistics import (
    PAIR_VERSION,
    RANK_RESAMPLES,
    RankRange,
    paired_p,
    pairs_of,
    ranges_of,
    sums_by_unit,
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
    """SHA-256 of its items."""


def pair_ranges(
    split: Split, scores: Sequence[int], *, higher_is_better: bool
) -> list[RankRange] | None:
    """The ranks that paired tests leave open to entries, by the ids of their scores; None where the
    metric is no mean of items, so that there is nothing to pair. Only what is not kept is tested."""
    known = _known(split, scores)
    if len(known) < len(scores):
        return None
    found = [known[pk] for pk in scores]
    pairs = [(found[i], found[j]) for i, j in pairs_of(len(found))]
    kept = _kept(known)
    missing = [(a, b) for a, b in pairs if _ordered(a, b) not in kept]
    tests = kept | (dict(_tested(split, missing)) if missing else {})
    p_values = [tests[_ordered(a, b)] for a, b in pairs]
    return ranges_of([s.value for s in found], p_values, higher_is_better=higher_is_better)


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
    """Those that have a figure for every item of the split; the database hashes them, so that large
    ones are not read where every pair is kept."""
    digest: Any = Func(F("per_item"), function="sha256", output_field=BinaryField())
    length: Any = Func(F("per_item"), function="length", output_field=IntegerField())
    rows = Score.objects.filter(pk__in=scores).annotate(digest=digest, length=length)
    return {
        pk: _Known(pk, value, bytes(digest))
        for pk, value, digest, length in rows.values_list("pk", "value", "digest", "length")
        if length == _FLOAT32 * split.item_count
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
        digests[score.pk] = hashlib.sha256(score.per_item or b"").digest()
        sums[score.pk] = _sums(score, units)
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


def _sums(score: Score, units: np.ndarray) -> np.ndarray:
    """(U,) its items added up by what is flipped together."""
    items = score.items()
    assert items is not None
    return sums_by_unit(items[:, None], units)[:, 0]


def _keep(tests: Sequence[PairTest]) -> None:
    # A score that was deleted meanwhile takes its tests along: then there is nothing to keep.
    with contextlib.suppress(IntegrityError), transaction.atomic():
        PairTest.objects.bulk_create(
            tests, update_conflicts=True, unique_fields=["first", "second"],
            update_fields=["basis", "p"],
        )  # fmt: skip
