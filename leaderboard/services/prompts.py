"""Curated prompts: the starter's, proposals, and what editors decide."""

import json
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from inference.errors import DomainError
from leaderboard import errors
from leaderboard.models import Benchmark, BenchmarkPrompt, ReportedFigure

PROMPTS = Path(__file__).parents[1] / "prompts.json"
MOST_WAITING = 10
LENGTHS = ("short", "normal", "long")
_PLACES = {"query": "{question}", "detect": "{object}", "point": "{object}"}


@transaction.atomic
def prompts_load() -> int:
    """Make the starter's prompts that are missing; what an editor changed, declined or moved to
    another text is left. Returns how many were made."""
    made = 0
    for row in json.loads(PROMPTS.read_text()):
        of = {"name": row["benchmark"], "skill": row["skill"], "source_url": row["source_url"]}
        if BenchmarkPrompt.objects.filter(**of).exists():
            continue
        figure = None
        if "figure" in row:
            benchmark, model = row["figure"]
            figure = ReportedFigure.objects.filter(benchmark=benchmark, model=model).first()
        BenchmarkPrompt.objects.create(
            **of, text=row["text"], note=row["note"], source=row["source"], figure=figure,
            state=BenchmarkPrompt.State.APPROVED, decided_at=timezone.now(),
        )  # fmt: skip
        made += 1
    return made


def prompt_propose(
    *, user: Any, benchmark: Benchmark | None, name: str, skill: str, text: str, source: str,
    source_url: str, note: str = "", figure: ReportedFigure | None = None,
) -> BenchmarkPrompt:  # fmt: skip
    """Keep a proposal until an editor decides; nothing public changes.

    Raises:
        InvalidInput: a field is wrong (`field` names it), or too many wait already.
        Conflict: the prompt is there (`existing`), approved or waiting.
    """
    text = text.replace("\r\n", "\n").strip()
    if skill == "caption" and text not in LENGTHS:
        raise _wrong("text", "A caption has no text of its own: write short, normal or long.")
    other = {"{question}", "{object}"} - {_PLACES.get(skill, "")}
    if any(place in text for place in other):
        raise _wrong("text", f"What each item asks stands as {_PLACES[skill]} with this skill.")
    of = benchmark.title if benchmark else name
    if figure is not None and not figure.benchmark.lower().startswith(of.lower()):
        raise _wrong("figure", f"This figure is of {figure.benchmark}, not of {of}.")
    waiting = BenchmarkPrompt.objects.filter(proposed_by=user, state=BenchmarkPrompt.State.PROPOSED)
    made = BenchmarkPrompt(
        benchmark=benchmark, name="" if benchmark else name.strip(), skill=skill, text=text,
        note=note.strip(), source=source.strip(), source_url=source_url, figure=figure,
        proposed_by=user,
    )  # fmt: skip
    existing = _same(made)
    if existing is not None:
        raise errors.PROMPT_EXISTS(
            field="text",
            existing=existing,
            is_public=existing.state == BenchmarkPrompt.State.APPROVED,
        )
    with transaction.atomic():
        # The account's row is the lock: two forms sent at once are counted one after the other.
        get_user_model().objects.select_for_update().get(pk=user.pk)
        if waiting.count() >= MOST_WAITING:
            raise errors.TOO_MANY_PROPOSALS(
                f"{MOST_WAITING} of your proposals wait for an editor; more can come after."
            )
        try:
            made.full_clean()
        except ValidationError as error:
            field, told = next(iter(error.message_dict.items()))
            raise _wrong(field if field != "__all__" else "text", told[0]) from error
        made.save()
    return made


def _wrong(field: str, message: str) -> DomainError:
    return errors.BAD_PROMPT(message, field=field)


def _same(prompt: BenchmarkPrompt) -> BenchmarkPrompt | None:
    """The same prompt of the same benchmark that is not declined."""
    return (
        BenchmarkPrompt.objects.exclude(state=BenchmarkPrompt.State.DECLINED)
        .filter(
            benchmark=prompt.benchmark, name__iexact=prompt.name, skill=prompt.skill,
            text__iexact=prompt.text,
        )
        .first()
    )  # fmt: skip


@transaction.atomic
def prompt_decide(*, prompt_id: int, by: Any, approve: bool, reason: str = "") -> BenchmarkPrompt:
    """Approve a prompt, or decline it with a reason its proposer reads; an editor may think again.

    Raises:
        NotFound: there is none.
        InvalidInput: declined without a reason.
        Conflict: approved, and the same prompt is there.
    """
    prompt = BenchmarkPrompt.objects.select_for_update().filter(pk=prompt_id).first()
    if prompt is None:
        raise errors.PROMPT_NOT_FOUND()
    reason = reason.strip()
    if not approve and not reason:
        raise errors.REASON_REQUIRED("Say why, for its proposer.", field="reason")
    if prompt.state == BenchmarkPrompt.State.DECLINED and approve and _same(prompt):
        raise errors.PROMPT_EXISTS("The same prompt is there already.")
    prompt.state = BenchmarkPrompt.State.APPROVED if approve else BenchmarkPrompt.State.DECLINED
    prompt.reason, prompt.decided_by, prompt.decided_at = reason[:300], by, timezone.now()
    prompt.save(update_fields=["state", "reason", "decided_by", "decided_at"])
    return prompt
