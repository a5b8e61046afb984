"""Taking predictions in: checked before they cost anything, counted, kept, queued."""

import gzip
import hashlib
import logging
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import IO, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.storage import storages
from django.core.validators import URLValidator, validate_email
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from inference import errors as inference_errors
from inference import repeats, stream
from inference import selectors as inference
from inference.adapters import Asker
from inference.errors import DomainError
from inference.messages import send_on_commit
from inference.storage import private_drop
from leaderboard import errors, names, roles
from leaderboard.models import (
    BenchmarkItem,
    LogLine,
    Phase,
    Split,
    Submission,
    Team,
    sealed_by,
)
from leaderboard.roles import Act
from leaderboard.scoring import MAX_BYTES, Checked, Context, read_predictions
from leaderboard.services.quota import quota_take
from leaderboard.services.stale import submission_stale
from leaderboard.services.teams import team_of, teams_joined

logger = logging.getLogger(__name__)
PRECISIONS = ("", "FP32", "FP16", "BF16", "8-bit", "4-bit", "other")


@dataclass(frozen=True, slots=True)
class Card:
    """What a submitter says of the model."""

    model_name: str
    parameters: int | None = None
    precision: str = ""
    revision: str = ""
    link: str = ""
    contact: str = ""
    note: str = ""
    open_weights: bool = False
    latency_ms: float | None = None
    hardware: str = ""
    variant_slug: str = ""
    """Of a model of this site that predicted."""
    adapter: str = ""
    """finetune@step, where that is a tuned one."""


def card_read(data: Mapping[str, Any], user: Any = None) -> Card:
    """
    Args:
        user: who submits, and may name a tuned model that is theirs alone.

    Raises:
        InvalidInput: with the field that is wrong.
    """
    name = names.cleaned(str(data.get("model_name") or ""))
    if not 2 <= len(name) <= 80:
        raise _field("model_name", "Say which model it is, in 2 to 80 characters.")
    if problem := names.problem_of(name):
        raise _field("model_name", problem)
    card = Card(
        name, _parameters(data.get("parameters")), str(data.get("precision") or ""),
        _said(data, "revision", 80), _said(data, "link", 200), _said(data, "contact", 254),
        _said(data, "note", 500), bool(data.get("open_weights")), _latency(data.get("latency_ms")),
        " ".join(_said(data, "hardware", 200).split()), *_site_model(data, user),
    )  # fmt: skip
    if card.precision not in PRECISIONS:
        raise _field("precision", f"Use one of {', '.join(p for p in PRECISIONS if p)}.")
    for field, value, check in (
        ("link", card.link, URLValidator(schemes=["https", "http"])), ("contact", card.contact, validate_email),
    ):  # fmt: skip
        try:
            if value:
                check(value)
        except ValidationError as error:
            raise _field(field, error.messages[0]) from error
    return card


def _site_model(data: Mapping[str, Any], user: Any) -> tuple[str, str]:
    """The variant's slug and the adapter of the model of this site that predicted, if one is named.

    Raises:
        InvalidInput: there is none of that name, or it is not for them.
    """
    name = _said(data, "site_model", 200)
    if not name:
        return "", ""
    try:
        variant, adapter = inference.model_get(
            name, Asker(account=lambda: getattr(user, "pk", None))
        )
    except DomainError as error:
        raise _field("site_model", error.message) from error
    return variant.slug, adapter


def _said(data: Mapping[str, Any], field: str, most: int) -> str:
    """A field's text, as it can be kept and shown.

    Raises:
        InvalidInput: it is too long, or holds what cannot be seen, such as NUL.
    """
    text = str(data.get(field) or "").strip()
    if len(text) > most:
        raise _field(field, f"At most {most} characters; it has {len(text)}.")
    if names.has_unseen(text, lines=field == "note"):
        raise _field(field, "The text has characters that cannot be seen.")
    return text


def _field(field: str, message: str) -> DomainError:
    return errors.BAD_CARD(message, field=field)


def _latency(value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < 10**7:  # also what is not a number
        raise _field("latency_ms", "Write milliseconds, as in 42.5.")
    return found


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", re.IGNORECASE)


def _parameters(value: Any) -> int | None:
    """A count of parameters: 1930000000, or "1.93B"."""
    if value in (None, ""):
        return None
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise _field("parameters", 'Write a number, as in 1930000000 or "1.93B".')
    factor = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}[match[2].lower()]
    count = round(float(match[1]) * factor)
    if not 1 <= count < 10**14:
        raise _field("parameters", "That is no model's size.")
    return count


def predictions_check(*, split: Split, file: IO[bytes]) -> Checked:
    """Read a file as scoring would, at no cost.

    Raises:
        TooLarge: more than the limit.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size > MAX_BYTES:
        raise errors.PREDICTIONS_TOO_LARGE(
            f"The file has {size / 2**20:.0f} MB; at most {MAX_BYTES >> 20} are taken."
        )
    keys = set(BenchmarkItem.objects.filter(split=split).values_list("key", flat=True))
    benchmark = split.benchmark
    known = Context(metric=benchmark.ranked_by.slug, labels=split.labels)
    return read_predictions(benchmark.rules, keys, file, context=known, keep=False)


def refuse_problems(checked: Checked) -> None:
    """
    Raises:
        InvalidInput: the file has any, with the first ten by line and id.
    """
    found = checked.problems
    if found:
        raise errors.BAD_PREDICTIONS(
            found.sentence(),
            lines=found.lines,
            bad=found.bad,
            missing=found.missing,
            missing_ids=found.missing_ids,
            extra=found.extra,
            extra_ids=found.extra_ids,
        )


def submission_make(
    *, split: Split, user: Any, card: Card, file: IO[bytes], team: str = "",
    is_public: bool = True, idempotency_key: str = "", received_at: datetime | None = None,
) -> Submission:  # fmt: skip
    """Check, count and keep predictions, and queue them to be scored.

    `team` names one of the user's; by default it is the one they have been in longest, and a repeated
    request's is the one it had. The same team and idempotency key give the same submission again.

    Raises:
        InvalidInput: bad predictions; nothing is counted.
        Forbidden: the benchmark takes none, or the team has no submissions left.
        Conflict: the key was used for other predictions.
    """
    return submission_take(
        split=split, team=team_for(user, team, idempotency_key), user=user, card=card, file=file,
        is_public=is_public, idempotency_key=idempotency_key, received_at=received_at,
    )  # fmt: skip


def team_for(user: Any, name: str, key: str) -> Team:
    """The team a request is for: the named one, or by default the user's first, but that of the
    request it repeats if it does. Another team in between makes no second submission of it.

    Raises:
        InvalidInput: the user is in no team of that name.
        Conflict: the key was used for another team.
    """
    sent = Submission.objects.filter(created_by=user, idempotency_key=key).select_related("team")
    earlier = sent.first() if key else None
    if earlier is None:
        return team_of(user, name)
    is_in = Act.SUBMIT in roles.acts_of(earlier.team, user)
    if not is_in or (name and team_of(user, name) != earlier.team):
        raise inference_errors.IDEMPOTENCY_CONFLICT(
            "This Idempotency-Key was used for another team.",
            hint="Use a new key for a new submission.",
        )
    return earlier.team


def submission_take(
    *, split: Split, team: Team, user: Any, card: Card, file: IO[bytes], is_public: bool,
    idempotency_key: str = "", phase: Phase | None = None, received_at: datetime | None = None,
    check: Callable[[], Any] = lambda: None, **measured: Any,
) -> Submission:  # fmt: skip
    """`submission_make` in a team's name; ours may go without a user and costs no quota.

    Args:
        phase: of a challenge it belongs to; its limits count then, and not the split's.
        received_at: when the request reached the server, if that decides something.
        check: called under the team's lock, just before it is counted; may refuse.
    """
    if phase is None and not split.benchmark.is_open and not team.is_ours:
        raise errors.BENCHMARK_CLOSED()
    repeats.checked(idempotency_key)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a binary file
    same = (split.pk, phase.pk if phase else None, digest)
    earlier = _same(team, idempotency_key, same)
    if earlier is not None:
        return earlier
    if phase is None:
        split_takes(split)
    refuse_problems(predictions_check(split=split, file=file))
    submission = Submission(
        split=split, phase=phase, team=team, created_by=user, file_sha256=digest,
        is_public=is_public, idempotency_key=idempotency_key,
        created_at=received_at or timezone.now(), **(asdict(card) | measured),
    )  # fmt: skip
    submission.file = f"predictions/{submission.id.hex[:2]}/{submission.id}.jsonl.gz"
    try:
        with transaction.atomic():
            quota_take(submission=submission, check=check)
            _keep(submission, file)
            log(submission, "submitted", actor=team.name)
    except IntegrityError:
        earlier = _same(team, idempotency_key, same)  # the twin request was quicker
        if earlier is None:
            raise
        return earlier
    submission_queue(submission)
    return submission


def split_takes(split: Split) -> None:
    """Whether a split takes submissions outside of challenges, ours too.

    Raises:
        Forbidden: it does not, and why.
    """
    if split.retired_at:
        raise errors.SPLIT_RETIRED(
            f"{split.name} takes no submissions: other items took its place."
        )
    if split.published_at and split.ranks:
        raise errors.SPLIT_PUBLISHED(
            f"The references of {split.name} are public now: it ranks nobody any more."
        )
    challenge = sealed_by(split)
    if challenge is not None:
        raise errors.SPLIT_SEALED(
            f"{split.name} takes submissions to “{challenge.title}” alone, until its final ranking.",
            hint=f"Join it, and submit with challenge={challenge.slug}.",
            challenge=challenge.slug,
        )


def _same(team: Team, key: str, same: tuple[Any, ...]) -> Submission | None:
    if not key:
        return None
    earlier = Submission.objects.filter(team=team, idempotency_key=key).first()
    if earlier and (earlier.split_id, earlier.phase_id, earlier.file_sha256) != same:
        raise inference_errors.IDEMPOTENCY_CONFLICT(
            "This Idempotency-Key was used for other predictions.",
            hint="Use a new key for a new submission.",
        )
    return earlier


def _keep(submission: Submission, file: IO[bytes]) -> None:
    """Into the private storage, always compressed, a piece at a time."""
    file.seek(0)
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    with tempfile.TemporaryFile() as packed:
        if is_packed:
            shutil.copyfileobj(file, packed)
        else:
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as into:
                shutil.copyfileobj(file, into)
        packed.seek(0)
        storages["private"].save(submission.file, File(packed))


def submission_queue(submission: Submission) -> None:
    """Hand a submission to the scorers. When the broker is away it stays queued: `submissions_rescue`
    tries again."""
    from leaderboard.tasks import score_submission

    def lost(error: Exception) -> None:
        logger.warning("Submission %s could not be queued; it will be tried again", submission.id)

    transaction.on_commit(
        partial(stream.publish_if_reachable, submission.pk, "status", {"status": submission.status})
    )
    send_on_commit(score_submission, str(submission.id), lost=lost, priority=2)


def log(submission: Submission, action: str, *, actor: str, text: str = "") -> None:
    """Note what happened; what is private, and who submits what to a sealed phase, stays out of the
    public log."""
    LogLine.objects.create(
        benchmark_id=submission.split.benchmark_id, submission_id=submission.id, actor=actor,
        action=action, text=text or f"{submission.model_name} on {submission.split.name}",
        is_public=submission.is_public and not submission.is_sealed,
    )  # fmt: skip


def submission_own(*, submission_id: UUID, user: Any) -> Submission:
    """A submission of one of the user's teams, whose work they may see and act on.

    Raises:
        NotFound: there is none, or it is somebody else's, or their role does not show it.
    """
    found = (
        Submission.objects.select_related("split__benchmark", "team", "phase__challenge")
        .filter(pk=submission_id, team__in=teams_joined(user, Act.SUBMIT).order_by())
        .first()
    )
    if found is None:
        raise errors.SUBMISSION_NOT_FOUND()
    return found


def submission_withdraw(*, submission: Submission, actor: str) -> Submission:
    """Take a submission off the table for good, in whatever state it is: its row leaves at once, its
    predictions go, its scores and the log stay, its quota stays spent. One that is being scored stays
    withdrawn when the scorer has finished."""
    withdrawn = Submission.Status.WITHDRAWN
    with transaction.atomic():
        changed = Submission.objects.filter(pk=submission.pk).exclude(status=withdrawn)
        is_new = changed.update(
            status=withdrawn, finished_at=Coalesce(F("finished_at"), timezone.now())
        )
        submission.refresh_from_db(fields=["status", "finished_at", "is_public"])
        if is_new:
            submission.prediction_blocks.all().delete()
            log(submission, "withdrawn", actor=actor)
            submission_stale(submission, gone=True)
            transaction.on_commit(partial(_withdrawn, submission))
    return submission


def _withdrawn(submission: Submission) -> None:
    stream.publish_if_reachable(submission.pk, "result", {"status": submission.status})
    predictions_drop(submission)


def predictions_drop(submission: Submission) -> None:
    """Delete a withdrawn submission's file; while the storage is away, `submissions_rescue` tries again."""
    if private_drop(submission.file):
        Submission.objects.filter(pk=submission.pk).update(file="")


def submission_publish(*, submission: Submission, is_public: bool, actor: str) -> Submission:
    """Show a submission on the table, or show it to its team alone: then its row leaves at once.

    Raises:
        Forbidden: its challenge is closed, and it would come in among those that are ranked.
    """
    challenge = submission.phase.challenge if submission.phase else None
    late = challenge and not challenge.published_at and timezone.now() >= challenge.closes_at
    if is_public and late and not submission.is_public:
        raise errors.CHALLENGE_CLOSED(
            "The challenge is closed: what was private then is not ranked.",
            hint="After the final ranking it can be shown on the leaderboard.",
        )
    with transaction.atomic():
        changed = Submission.objects.filter(pk=submission.pk).exclude(is_public=is_public)
        is_new = changed.update(is_public=is_public)
        submission.refresh_from_db(fields=["status", "is_public"])
        if is_new:
            log(submission, "made public" if is_public else "made private", actor=actor)
            submission_stale(submission, gone=not is_public)
    return submission
