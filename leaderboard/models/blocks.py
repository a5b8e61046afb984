"""Items of public splits a few hundred at a time: what a page of them needs, and no more.

Sealed references and whole files of predictions stay with the worker, which fills these.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import orjson
from django.db import models

from leaderboard.models.benchmarks import Split
from leaderboard.models.submissions import Submission

SIZE = 200
"""Items of a block, in the split's order."""


class Block(models.Model):
    """One row's worth of items: compressed JSON, a list with an element for each."""

    number = models.PositiveIntegerField(help_text="Its first item's position over the size.")
    data = models.BinaryField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.number)

    def rows(self) -> list[Any]:
        found: list[Any] = orjson.loads(zlib.decompress(self.data))
        return found


class ReferenceBlock(Block):
    """References of a public split, as anybody may read them: [name of the image, reference]."""

    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="reference_blocks")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["split", "number"], name="reference_block")
        ]


class PredictionBlock(Block):
    """What a submission to a public split said, in words."""

    submission = models.ForeignKey(
        Submission, on_delete=models.CASCADE, related_name="prediction_blocks"
    )

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["submission", "number"], name="prediction_block")
        ]


def packed(rows: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
    """Numbers and data of the blocks of all items of a split, in their order."""
    for start in range(0, len(rows), SIZE):
        yield start // SIZE, zlib.compress(orjson.dumps(list(rows[start : start + SIZE])), 6)
