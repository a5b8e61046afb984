"""Models of this site over a split: every item is a job like any other, at the lowest priority."""

import contextlib
import io
import logging
import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from inference import lease
from inference import selectors as inference
from inference import services as jobs
from inference.errors import Busy, DomainError
from inference.images import Upload
from inference.models import Job, Skill, Variant, VariantMeasurement
from leaderboard import errors
from leaderboard.models import BenchmarkItem, Run, RunAnswer, Split, sealing
from leaderboard.services import tuned
from leaderboard.services.submitting import Card, log, split_takes, submission_take
from leaderboard.services.teams import OUR_TEAM

logger = logging.getLogger(__name__)
CALLER = "leaderboard"
_OWNER = "run:"
WINDOW = 6
"""Jobs of a run that wait or run at a time."""
TRIES = 3


def run_start(*, split: Split, variant: Variant, adapter: str = "") -> Run:
    """Begin to run a variant, or an adapter of it (`finetune@step`), over a split, or go on with what
    was begun.

    Raises:
        Forbidden: the split takes nothing now, or not of the adapter's owner.
        NotFound: the adapter was deleted.
        Conflict: the split's images are not here.
    """
    split_takes(split)
    if not default_storage.exists(_one_image(split)):
        raise errors.SPLIT_IMAGES_ELSEWHERE()
    tuned.run_check(split=split, run=Run(variant=variant, adapter=adapter))
    run, _ = Run.objects.get_or_create(
        split=split, variant=variant, adapter=adapter, status=Run.Status.RUNNING,
        defaults={"revision": variant.revision, "data_hash": split.data_hash},
    )  # fmt: skip
    run_advance(run_id=run.pk)
    return run


def runs_start() -> list[Run]:
    """A run of each local variant over each split of our benchmarks whose figure is missing or was
    measured with another revision, other items or an older scorer. Tuned models are run where somebody
    who may says so: each run tells their owner a figure, which counts as a submission of theirs."""
    started = []
    splits = (
        Split.objects.filter(~Exists(sealing("pk")), benchmark__is_shown=True, retired_at=None)
        .exclude(ranks=True, published_at__isnull=False)
        .select_related("benchmark")
    )
    for variant in inference.variants_available():
        if not variant.folder:
            continue  # a remote service costs money: only when it is asked for
        for split in splits.order_by("-ranks", "benchmark__position"):
            done = Run.objects.filter(
                split=split, variant=variant, adapter="", status=Run.Status.DONE,
                revision=variant.revision, data_hash=split.data_hash,
            )  # fmt: skip
            if not done.exists() and default_storage.exists(_one_image(split)):
                started.append(run_start(split=split, variant=variant))
    return started


def _one_image(split: Split) -> str:
    return split.items.values_list("image", flat=True).first() or "-"


def runs_advance() -> None:
    """Take the oldest unfinished run a step further: one at a time, so that few jobs wait."""
    first = _first()
    if first is not None:
        run_advance(run_id=first)


def _first() -> int | None:
    """The run whose turn it is; one on a split that a challenge has shut waits for its end."""
    running = Run.objects.filter(~Exists(sealing()), status=Run.Status.RUNNING).order_by("pk")
    return running.values_list("pk", flat=True).first()


def run_advance(*, run_id: int) -> Run:
    """Ask what was not asked yet, as far as there is room, and submit when all is answered.

    Safe to call at any time and by many: one does it, the others leave.
    """
    with contextlib.ExitStack() as held:
        taken = lease.leased(held, f"run-{run_id}", wait_s=0)
        run = Run.objects.select_related("split__benchmark", "variant").get(pk=run_id)
        if taken is None or run.status != Run.Status.RUNNING or run_id != _first():
            return run
        with lease.renewed([taken]):
            _step(run)
    if run.status != Run.Status.RUNNING:
        runs_advance()
    return run


def _owner(run: Run) -> str:
    return f"{_OWNER}{run.pk}"


def _step(run: Run) -> None:
    skill = Skill(run.split.benchmark.rules.skill)
    mine = Job.objects.filter(caller=CALLER, owner_key=_owner(run))
    ended = mine.filter(status__in=(Job.Status.FAILED, Job.Status.CANCELLED))
    failures = Counter(map(_key, ended.values_list("idempotency_key", flat=True)))
    asked = set(map(_key, mine.unfinished().values_list("idempotency_key", flat=True)))
    while len(asked) < WINDOW:
        items = list(_unanswered(run).exclude(key__in=asked)[: WINDOW - len(asked)])
        if not items:
            break
        for item in items:
            if failures[item.key] >= TRIES:
                _end(run, f"{item.key}: failed {TRIES} times")
                return
            try:
                job = _ask(run, skill, item, failures[item.key])
            except Busy:
                return  # others' questions come first; the sweeper tries again
            except DomainError as error:
                _end(run, error.message)
                return
            except FileNotFoundError:
                _end(run, f"{item.key}: its image is gone")
                return
            if job.status == Job.Status.SUCCEEDED:  # asked before, and nobody was told
                _keep(run, job)
            else:
                asked.add(item.key)
    if not asked:
        _submit(run)


def _key(idempotency_key: str) -> str:
    """The item of a job: its key and the number of the try make the job's key."""
    return idempotency_key.rpartition("#")[0]


def _unanswered(run: Run) -> QuerySet[BenchmarkItem]:
    answered = RunAnswer.objects.filter(run=run, key=OuterRef("key"))
    return run.split.items.filter(~Exists(answered)).order_by("position")


def _keep(run: Run, job: Job) -> None:
    """An answer, once."""
    timings = job.timings
    total_ms = timings.get("total_ms", 0.0) - timings.get("queue_ms", 0.0)
    RunAnswer.objects.get_or_create(
        run=run, key=_key(job.idempotency_key),
        defaults={
            "prediction": _prediction(Skill(job.skill), job.result or {}), "total_ms": total_ms,
            "worker_ms": (total_ms - timings.get("load_ms", 0.0)) / timings.get("batch_size", 1),
            "output_tokens": job.tokens.get("completion"),
        },
    )  # fmt: skip


def _prediction(skill: Skill, result: dict[str, Any]) -> dict[str, Any]:
    """What a job answered, as a line of predictions has it: the API's own words."""
    names = {"caption": "caption", "query": "answer", "detect": "objects", "point": "points"}
    value = result.get(names[skill])
    if skill in (Skill.DETECT, Skill.POINT) and value:
        value = [{name: _cut(name, v) for name, v in region.items()} for region in value]
    return {names[skill]: value}


def _cut(name: str, value: Any) -> Any:
    """A coordinate moved into the image: the model says a centre and a size, which may pass its edge."""
    is_coordinate = name in ("x", "y", "x_min", "y_min", "x_max", "y_max")
    return min(1.0, max(0.0, value)) if is_coordinate else value


def _ask(run: Run, skill: Skill, item: BenchmarkItem, tries: int) -> Job:
    def read() -> bytes:
        with default_storage.open(item.image) as file:
            return file.read()

    prompt = item.prompt or run.split.benchmark.prompt
    field = {"caption": "length", "query": "question", "detect": "object", "point": "object"}[skill]
    return jobs.job_submit(
        skill=skill, variant_slug=run.model_name, image=Upload(read),
        params={field: prompt, "settings": {"temperature": 0}}, caller=CALLER,
        owner_key=_owner(run), idempotency_key=f"{item.key}#{tries}", in_background=True,
        is_site=True,
    )  # fmt: skip


def _end(run: Run, error: str) -> None:
    run.status, run.error, run.finished_at = Run.Status.FAILED, error[:300], timezone.now()
    run.save(update_fields=["status", "error", "finished_at"])


def _submit(run: Run) -> None:
    """The answers become a submission, scored like anybody's."""
    variant, answers = run.variant, list(run.answers.all())
    lines = [orjson.dumps({"id": a.key, **a.prediction}) for a in answers]
    measured = _measured(run)
    try:
        owner, name = tuned.owner_of(run), tuned.name_of(run)
        with transaction.atomic():
            submission = submission_take(
                split=run.split, team=owner.team, user=owner.user, is_public=owner.is_public,
                file=io.BytesIO(b"\n".join(lines) + b"\n"),
                card=Card(
                    name, variant.parameters, _precision(variant), run.revision,
                    open_weights=not run.adapter, hardware=measured.hardware if measured else "",
                    latency_ms=round(statistics.median(a.total_ms for a in answers), 2),
                    variant_slug=variant.slug, adapter=run.adapter,
                ),
                idempotency_key=f"run-{run.pk}", provenance="reproduced",
                peak_bytes=measured.peak_bytes if measured else None,
                device=measured.device if measured else "",
                worker_ms=_median(a.worker_ms for a in answers),
                output_tokens=_median(a.output_tokens for a in answers),
            )  # fmt: skip
            run.submission, run.status, run.finished_at = (
                submission,
                Run.Status.DONE,
                timezone.now(),
            )
            run.save(update_fields=["submission", "status", "finished_at"])
            log(submission, "run", actor=OUR_TEAM)
    except Busy:
        raise  # the storage is away: the sweeper tries again
    except DomainError as error:
        _end(run, error.message)


def _median(values: Iterable[float | None]) -> float | None:
    """None where an answer has none: it was made by an older version of this site."""
    found = list(values)
    known = [value for value in found if value is not None]
    return round(statistics.median(known), 4) if known and len(known) == len(found) else None


def _measured(run: Run) -> VariantMeasurement | None:
    if run.adapter:
        return inference.adapter_measurements([run.adapter]).get(run.adapter)
    found = (m for m in inference.latest_measurements() if m.variant_id == run.variant_id)
    return next(found, None)


def _precision(variant: Variant) -> str:
    return variant.precision if variant.precision != "remote" else "other"


def job_ended(job: Job) -> None:
    """A job of a run has ended: keep its answer, and on with the run."""
    if job.caller != CALLER:
        return
    run = Run.objects.get(pk=job.owner_key.removeprefix(_OWNER))
    if job.status == Job.Status.SUCCEEDED:
        _keep(run, job)
    run_advance(run_id=run.pk)
