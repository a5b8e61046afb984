"""`/api/leaderboards`: what there is to be measured on, and submitting to it."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import File, Form, Router, Status
from ninja.files import UploadedFile

from inference import repeats, sse, stream
from inference.answering import to_the_end
from inference.database import released_after
from inference.errors import payload
from inference.stream import Event
from leaderboard import disclosure, errors, schemas, selectors, services
from leaderboard.models import Benchmark, Challenge, Phase, Split, Submission, Team
from leaderboard.received import received_at

router = Router(tags=["Leaderboards"])


def _metric_out(benchmark: Benchmark) -> list[dict[str, Any]]:
    return [
        {name: getattr(m, name) for name in schemas.MetricOut.model_fields}
        for m in benchmark.rules.metrics
    ]


def _benchmark_out(benchmark: Benchmark) -> dict[str, Any]:
    task = benchmark.rules
    return {
        "slug": benchmark.slug, "title": benchmark.title, "summary": benchmark.summary,
        "task": task.slug, "ranked_by": benchmark.ranked_by.slug, "metrics": _metric_out(benchmark),
        "splits": [
            {
                "name": s.name, "is_public": s.is_public, "ranks": s.ranks, "items": s.item_count,
                "data_hash": s.data_hash, "daily_limit": s.daily_limit,
                "total_limit": s.total_limit, "is_retired": s.retired_at is not None,
                "items_url": f"/api/leaderboards/{benchmark.slug}/splits/{s.name}/items",
            }
            for s in benchmark.splits.all()
        ],
        "prediction": {"id": "…", **task.example}, "guide": task.guide, "licence": benchmark.licence,
        "source": benchmark.source, "is_open": benchmark.is_open,
        "url": benchmark.get_absolute_url(), "stale_since": stale_since(benchmark),
    }  # fmt: skip


def stale_since(of: Benchmark | Challenge) -> str | None:
    """Since when the table is being recomputed; None while it holds."""
    state = getattr(of, "table_state", None)
    return state.stale_since.isoformat() if state and state.stale_since else None


@router.get("", auth=None, response={200: list[schemas.BenchmarkOut]}, operation_id="leaderboards")  # fmt: skip
def leaderboards(request: HttpRequest) -> Any:
    """Every leaderboard with its metrics and splits."""
    shown = Benchmark.objects.filter(is_shown=True)
    rows = shown.select_related("table_state").prefetch_related("splits")
    return [_benchmark_out(b) for b in rows]


@router.get("/export.jsonl", auth=None, response={200: Any}, operation_id="leaderboards_export")  # fmt: skip
def export(request: HttpRequest) -> Any:
    """All public data of all leaderboards as JSON lines, each with its `kind`: benchmark, submission,
    score (old ones too), row, log, reported."""
    lines = (orjson.dumps(record) + b"\n" for record in selectors.export_all())
    response = StreamingHttpResponse(released_after(lines), content_type="application/x-ndjson")
    response["Content-Disposition"] = 'attachment; filename="leaderboards.jsonl"'
    return response


@router.get("/{slug}", auth=None, response={200: schemas.BenchmarkOut}, operation_id="leaderboard")  # fmt: skip
def leaderboard(request: HttpRequest, slug: str) -> Any:
    """One leaderboard: its metrics, its splits, and how a line of predictions looks."""
    return _benchmark_out(selectors.benchmark_get(slug))


@router.get("/{slug}/entries", auth=None, response={200: list[dict[str, Any]]}, operation_id="leaderboard_entries")  # fmt: skip
def entries(request: HttpRequest, slug: str, format: str = "json") -> Any:  # noqa: A002  # a query's own word
    """The whole table, as JSON or (`format=csv`) as CSV."""
    benchmark = selectors.benchmark_get(slug)
    if format == "csv":
        response = HttpResponse(
            selectors.export_csv(benchmark), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="{slug}.csv"'
        return response
    return selectors.export_rows(benchmark)


@router.get("/{slug}/splits/{split}/items", auth=None, response={200: Any}, operation_id="leaderboard_items")  # fmt: skip
def items(request: HttpRequest, slug: str, split: str) -> Any:
    """What a model is given, as JSON lines: id, image, prompt, category; of a public split with the
    references, of a hidden one never."""
    found = selectors.split_get(selectors.benchmark_get(slug), split)
    if found.is_public:
        selectors.references_check(found)
    lines = _item_lines(found, request.build_absolute_uri("/"))
    return StreamingHttpResponse(released_after(lines), content_type="application/x-ndjson")


def _item_lines(split: Split, root: str) -> Iterator[bytes]:
    for item, known in selectors.with_references(split):
        url = selectors.image_url(item)
        row: dict[str, Any] = {
            "id": item.key, "image_url": url if url.startswith("http") else root.rstrip("/") + url,
            "prompt": item.prompt or split.benchmark.prompt, "category": item.category,
        }  # fmt: skip
        if known is not None:
            row |= {"image": known.image, "reference": known.reference}
        yield orjson.dumps(row) + b"\n"


def _file(upload: UploadedFile) -> Any:
    file = upload.file
    if file is None:
        raise errors.NO_FILE("Send the predictions as a file.")
    return file


@router.post("/{slug}/check", response={200: schemas.CheckOut}, exclude_unset=True, operation_id="leaderboard_check")  # fmt: skip
def check(request: HttpRequest, slug: str, file: UploadedFile = File(...), split: Form[str] = "") -> Any:  # fmt: skip
    """Read a file of predictions as scoring would. Costs nothing; problems are named by line and id.
    `warnings`, where there are any, say what of a file that can be read will score nothing."""
    found = selectors.split_get(selectors.benchmark_get(slug), split)
    checked = services.predictions_check(split=found, file=_file(file))
    services.refuse_problems(checked)
    warnings = {"warnings": [asdict(w) for w in checked.warnings]} if checked.warnings else {}
    return {"valid": True, "items": found.item_count, "lines": checked.lines, **warnings}


@router.post("/{slug}/submissions", response={202: schemas.SubmissionOut}, operation_id="leaderboard_submit", openapi_extra=repeats.DOCUMENTED)  # fmt: skip
def submit(
    request: HttpRequest, slug: str, model_name: Form[str], file: UploadedFile = File(...),
    split: Form[str] = "", team: Form[str] = "", parameters: Form[str] = "", precision: Form[str] = "",
    revision: Form[str] = "", latency_ms: Form[str] = "", hardware: Form[str] = "", link: Form[str] = "", contact: Form[str] = "", note: Form[str] = "", site_model: Form[str] = "",
    challenge: Form[str] = "", open_weights: Form[bool] = False, is_public: Form[bool] = True,  # noqa: FBT002  # form fields
) -> Any:  # fmt: skip
    """Submit predictions: JSON lines or one JSON array, plain or gzip, up to 50 MB. They are checked
    at once, at no cost, and scored in a worker; follow `events_url`. With `challenge` they count in
    that challenge: its phase says for which split, and how often. Of several teams `team` names the
    one it is for; by default it is the one you have been in longest. `site_model` names the model of this
    site that predicted, as in `base/finetune@step`: yours, or one you may ask."""
    key = repeats.key_of(request)
    benchmark = selectors.benchmark_get(slug)
    entered = selectors.challenge_get(challenge, benchmark) if challenge else None
    card = services.card_read({
        "model_name": model_name, "parameters": parameters, "precision": precision,
        "revision": revision, "latency_ms": latency_ms, "hardware": hardware, "link": link, "contact": contact, "note": note,
        "open_weights": open_weights, "site_model": site_model,
    }, request.auth)  # type: ignore[attr-defined]  # fmt: skip
    if entered:
        submission = services.challenge_submit(
            challenge=entered, user=request.auth, card=card, file=_file(file), team=team, split=split,  # type: ignore[attr-defined]
            is_public=is_public, idempotency_key=key, received_at=received_at(request),
        )  # fmt: skip
    else:
        submission = services.submission_make(
            split=selectors.split_get(benchmark, split), user=request.auth, card=card,  # type: ignore[attr-defined]
            file=_file(file), team=team, is_public=is_public, idempotency_key=key,
            received_at=received_at(request),
        )  # fmt: skip
    return Status(202, _submission_out(submission, request.auth))  # type: ignore[attr-defined]


def _quota_out(
    user: Any, team: Team | None, split: Split, phase: Phase | None = None
) -> dict[str, Any]:
    left = services.quota_left(team=team, split=split, phase=phase, user=user)
    return {"team": team.name if team else "", "split": split.name, "resets": "00:00 UTC", **left}


def _submission_out(submission: Submission, user: Any) -> dict[str, Any]:
    failed = submission.status == Submission.Status.FAILED
    queue = selectors.queue_of(submission)
    detail = selectors.own_detail(submission, user)
    phase = submission.phase
    return {
        "id": submission.id, "benchmark": submission.split.benchmark.slug,
        "split": submission.split.name, "phase": phase.name if phase else None,
        "challenge": phase.challenge.slug if phase else None, "is_sealed": detail.is_sealed, "team": submission.team.name,
        "model_name": submission.model_name, "site_model": detail.tuned_model or submission.variant_slug, "status": submission.status,
        "is_public": submission.is_public,
        "waiting_before": queue.before if queue else None,
        "queue": {
            "before": queue.before, "eta_s": queue.seconds,
            "scorer_seen_at": queue.heard_at.isoformat() if queue.heard_at else None,
        } if queue else None,
        "error": payload(submission.error_code, submission.error_message) if failed else None,
        "scores": {
            cell.metric.slug: {
                "value": s.value * cell.metric.scale, "low": s.low * cell.metric.scale,
                "high": s.high * cell.metric.scale, "unit": cell.metric.unit,
                "signature": s.signature,
                "by_category": {
                    k: v * cell.metric.scale
                    for k, v in disclosure.slices(submission.split, s).items()
                },
            }
            for cell, s in detail.scores
        },
        "url": submission.get_absolute_url(),
        "events_url": f"/api/leaderboards/submissions/{submission.id}/events",
        "created_at": submission.created_at.isoformat(), "quota": _quota_out(user, submission.team, submission.split, phase),
    }  # fmt: skip


@router.get("/submissions/{submission_id}", response={200: schemas.SubmissionOut}, operation_id="submission_get")  # fmt: skip
def submission_get(request: HttpRequest, submission_id: UUID) -> Any:
    """A submission of your team: its state, its scores, what is left of the quota."""
    return _submission_out(_own(request, submission_id), request.auth)  # type: ignore[attr-defined]


def _own(request: HttpRequest, submission_id: UUID) -> Submission:
    return services.submission_own(submission_id=submission_id, user=request.auth)  # type: ignore[attr-defined]


@router.patch("/submissions/{submission_id}", response={200: schemas.SubmissionOut}, operation_id="submission_publish")  # fmt: skip
def submission_publish(request: HttpRequest, submission_id: UUID, body: schemas.PublishIn) -> Any:
    """Show a submission on the table, or to its team alone."""
    own = _own(request, submission_id)
    services.submission_publish(submission=own, is_public=body.is_public, actor=own.team.name)
    return _submission_out(own, request.auth)  # type: ignore[attr-defined]


@router.post("/submissions/{submission_id}/withdraw", response={200: schemas.SubmissionOut}, operation_id="submission_withdraw")  # fmt: skip
def submission_withdraw(request: HttpRequest, submission_id: UUID) -> Any:
    """Take a submission off the table for good. Its quota stays spent."""
    own = _own(request, submission_id)
    services.submission_withdraw(submission=own, actor=own.team.name)
    return _submission_out(own, request.auth)  # type: ignore[attr-defined]


@router.get("/submissions/{submission_id}/events", operation_id="submission_events")  # fmt: skip
def submission_events(request: HttpRequest, submission_id: UUID) -> Any:
    """A submission's progress as server-sent events; ends with `result` or `error`."""
    own = _own(request, submission_id)
    stream.client().ping()  # an error has a status of its own only before the stream begins
    after = request.headers.get("Last-Event-ID", "")
    return sse.response(request, _progress(own, stream.at(after)))


def _progress(submission: Submission, after: str) -> AsyncGenerator[Event | None, None]:
    """A submission's events to its end."""

    def ended() -> Event | None:
        fresh = Submission.objects.filter(pk=submission.pk).first()
        if fresh is None or fresh.is_finished:
            return Event(stream.START, "result", {"status": fresh.status if fresh else "gone"})
        return None

    return to_the_end(stream.follow(submission.id, after), ended)


def news(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """A stream's events from now on, or after the one the reader saw last."""
    stream.client().ping()
    after = request.headers.get("Last-Event-ID", "")
    return sse.response(
        request, stream.follow(name, stream.at(after) if after else stream.FROM_NOW)
    )


@router.get("/{slug}/events", auth=None, operation_id="leaderboard_events")
def board_events(request: HttpRequest, slug: str) -> Any:
    """`table` whenever the table shows something else, and `top` when another entry leads it, as
    server-sent events, from now on."""
    return news(request, services.board_stream(selectors.benchmark_get(slug)))


@router.get("/{slug}/quota", response={200: schemas.QuotaOut}, operation_id="leaderboard_quota")  # fmt: skip
def quota(request: HttpRequest, slug: str, split: str = "", team: str = "") -> Any:
    """What you have left with a team: the least of its own count and of yours in all teams. Of several
    teams it is the one you have been in longest unless `team` names another. Before you have a team,
    which the first submission makes, its name is empty."""
    found = selectors.split_get(selectors.benchmark_get(slug), split)
    user = request.auth  # type: ignore[attr-defined]
    return _quota_out(user, services.team_seen(user, team), found)


@router.get("/{slug}/log", auth=None, response={200: list[dict[str, Any]]}, operation_id="leaderboard_log")  # fmt: skip
def log(request: HttpRequest, slug: str, page: int = 1) -> Any:
    """What happened on a leaderboard, newest first; lines are only ever added."""
    lines = selectors.log_lines(selectors.benchmark_get(slug), page)
    return [
        {"at": line.created_at.isoformat(), "actor": line.actor, "action": line.action, "text": line.text}
        for line in lines.object_list
    ]  # fmt: skip
