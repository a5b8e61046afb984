"""References and predictions of public splits, laid out for pages: a worker's work."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Exists, OuterRef

from inference.messages import send_on_commit
from leaderboard import vault
from leaderboard.models import PredictionBlock, ReferenceBlock, Split, Submission
from leaderboard.models.blocks import packed
from leaderboard.scoring import Checked, Item, read_predictions

LONGEST = 300
"""Characters of a prediction that a page shows."""
AT_ONCE = 20
"""Submissions of before that are laid out in one go."""


def words(value: Any) -> str:
    """A prediction or reference in words."""
    if isinstance(value, list):
        return f"{len(value)} {'place' if len(value) == 1 else 'places'}"
    return str(value)


@transaction.atomic
def references_keep(split: Split, items: Sequence[Item]) -> None:
    """Lay out a split's references if it is public, and take them away if it is not."""
    # Its row is the lock: it may be closed at this moment.
    locked = Split.objects.select_for_update(no_key=True).get(pk=split.pk)
    ReferenceBlock.objects.filter(split=split).delete()
    if locked.is_public:
        ReferenceBlock.objects.bulk_create(
            (
                ReferenceBlock(split=split, number=number, data=data)
                for number, data in packed([[item.image, item.reference] for item in items])
            ),
            batch_size=200,
        )


@transaction.atomic
def predictions_keep(
    submission: Submission, items: Sequence[Item], predictions: Mapping[str, Any]
) -> None:
    """Lay out what a submission to a public split said; of a hidden one nothing is kept."""
    withdrawn = Submission.Status.WITHDRAWN
    there = Submission.objects.select_for_update(no_key=True, of=("self",))
    there = there.filter(pk=submission.pk, split__is_public=True).exclude(status=withdrawn)
    if not there.exists():
        return
    PredictionBlock.objects.filter(submission=submission).delete()
    said = [words(predictions.get(item.key, "—"))[:LONGEST] for item in items]
    PredictionBlock.objects.bulk_create(
        (
            PredictionBlock(submission=submission, number=number, data=data)
            for number, data in packed(said)
        ),
        batch_size=200,
    )


def blocks_rescue() -> int:
    """Ask for what pages miss, of before there were blocks or since a split was opened, and take away
    what a split that was closed had.

    Returns:
        How many messages were sent.
    """
    from leaderboard.tasks import open_split, open_submission

    ReferenceBlock.objects.filter(split__is_public=False).delete()
    PredictionBlock.objects.filter(submission__split__is_public=False).delete()
    splits = Split.objects.filter(
        ~Exists(ReferenceBlock.objects.filter(split=OuterRef("pk"))),
        is_public=True,
        item_count__gt=0,
    )
    submissions = Submission.objects.filter(
        ~Exists(PredictionBlock.objects.filter(submission=OuterRef("pk"))),
        split__is_public=True, status=Submission.Status.SCORED,
    )  # fmt: skip
    wanted: list[tuple[Any, Any]] = [(open_split, pk) for pk in splits.values_list("pk", flat=True)]
    wanted += [
        (open_submission, str(pk)) for pk in submissions.values_list("pk", flat=True)[:AT_ONCE]
    ]
    for task, pk in wanted:
        send_on_commit(task, pk, lost=lambda _: None, priority=3)
    return len(wanted)


def split_saved(split: Split) -> None:
    """A split may have been opened or closed: what a closed one had goes at once."""
    from leaderboard.tasks import open_split

    if not split.is_public:
        ReferenceBlock.objects.filter(split=split).delete()
        PredictionBlock.objects.filter(submission__split=split).delete()
    elif split.item_count and not split.reference_blocks.exists():
        send_on_commit(open_split, split.pk, lost=lambda _: None, priority=3)


def split_open(*, split_id: int) -> None:
    """Lay out a public split's references."""
    split = Split.objects.filter(pk=split_id, is_public=True).first()
    if split is not None and not split.reference_blocks.exists():
        references_keep(split, vault.unseal(split))


def submission_open(*, submission_id: str) -> None:
    """Lay out the predictions of a submission of before."""
    found = Submission.objects.select_related("split__benchmark").filter(
        pk=submission_id, split__is_public=True, status=Submission.Status.SCORED
    )
    submission = found.first()
    if submission is None or submission.prediction_blocks.exists():
        return
    items = vault.unseal(submission.split)
    predictions_keep(submission, items, predictions_stored(submission, items).predictions)


def predictions_stored(submission: Submission, items: Sequence[Item]) -> Checked:
    """A submission's file, as it was kept."""
    with storages["private"].open(submission.file) as file:
        rules = submission.split.benchmark.rules
        return read_predictions(rules, {i.key for i in items}, file, stored=True)
