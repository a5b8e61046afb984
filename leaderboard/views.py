"""Pages of the leaderboards."""

import json
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference import page_cache
from inference.errors import DomainError
from leaderboard import selectors, services
from leaderboard.forms import SubmitForm
from leaderboard.models import Benchmark, Team
from leaderboard.received import received_at
from leaderboard.roles import Act
from leaderboard.scoring import Checked
from leaderboard.services.entries import TESTED

HUB_CLIENT = Path(__file__).parent / "moondream_hub.py"


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All leaderboards, and figures others report."""
    charts = selectors.reported()
    context = {
        "boards": selectors.boards(),
        "charts": selectors.side_by_side(charts),
        "releases": selectors.by_release(charts),
    }
    response = render(request, "leaderboard/index.html", context)
    page_cache.keep(response)
    return response


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """One leaderboard; with HTMX its table alone."""
    benchmark = selectors.benchmark_get(slug)
    asked = selectors.Asked.read(request.GET.dict(), benchmark)
    table = selectors.table(benchmark, asked)
    name = "leaderboard/board.html"
    if page_cache.wants_part(request):
        response = render(request, f"{name}#table", {"table": table, "benchmark": benchmark})
    else:
        splits, sealed = selectors.splits_now(benchmark)
        context = {
            "table": table, "benchmark": benchmark,
            "splits": splits, "sealed": sealed,
            "cost": page_cache.remember(
                ("benchmark cost", benchmark.pk),
                lambda: next(iter(selectors.benchmark_costs(benchmark)), None),
            ),
            "tested": TESTED, "points": json.dumps(selectors.points(benchmark)),
            "metric": json.dumps({"name": benchmark.ranked_by.name, "unit": benchmark.ranked_by.unit,
                                  "up": benchmark.ranked_by.higher_is_better}),
        }  # fmt: skip
        response = render(request, name, context)
    response["Vary"] = "HX-Request"
    page_cache.keep(response, fields=_page_field(table.page))
    return response


def _page_field(page: Page) -> dict[str, str]:
    """The query field of a page of a list; none of the first."""
    return {"page": str(page.number)} if page.number > 1 else {}


@require_safe
def entry(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """One public entry with all its scores."""
    detail = selectors.entry_detail(submission_id)
    benchmark = detail.submission.split.benchmark
    context = {
        "detail": detail, "s": detail.submission, "benchmark": benchmark,
        "others": selectors.comparable(detail.submission),
    }  # fmt: skip
    response = render(request, "leaderboard/entry.html", context)
    page_cache.keep(response)
    return response


@require_safe
def entry_items(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """An entry of a public split item by item."""
    detail = selectors.entry_detail(submission_id)
    page, items = selectors.items_page([detail.submission], request.GET.get("page", 1))
    benchmark = detail.submission.split.benchmark
    context = {"detail": detail, "benchmark": benchmark, "page": page, "items": items}
    return render(request, "leaderboard/items.html", context)


@require_safe
def public(request: HttpRequest, slug: str) -> HttpResponse:
    """Who submitted to the public split: the way to items, and to comparing them."""
    benchmark = selectors.benchmark_get(slug)
    page, rows = selectors.public_page(benchmark, request.GET.get("page", 1))
    context = {"benchmark": benchmark, "page": page, "rows": rows}
    response = render(request, "leaderboard/public.html", context)
    page_cache.keep(response, fields=_page_field(page))
    return response


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Two entries side by side."""
    try:
        left, right = UUID(request.GET.get("a", "")), UUID(request.GET.get("b", ""))
    except ValueError as error:
        raise Http404 from error
    comparison = selectors.compare(left, right, request.GET.get("page", 1))
    a, b = comparison.left.submission, comparison.right.submission
    context = {"comparison": comparison, "a": a, "b": b, "benchmark": a.split.benchmark,
               "query": f"a={left}&b={right}&"}  # fmt: skip
    return render(request, "leaderboard/compare.html", context)


@require_safe
def hub_client(request: HttpRequest) -> HttpResponse:
    """The client module, to be saved beside a notebook."""
    response = HttpResponse(HUB_CLIENT.read_bytes(), content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="moondream_hub.py"'
    return response


SNIPPET = """import urllib.request

urllib.request.urlretrieve("{root}/leaderboards/moondream_hub.py", "moondream_hub.py")
import moondream_hub as hub

board = hub.Board("{root}", "{slug}", key="mdh_…")
predictions = [{{"id": item["id"], **my_model(board.image(item), item["prompt"])}}
               for item in board.items("{split}")]
result = board.submit(predictions, split="{split}", model_name="My model")
print(result["scores"])
"""


def for_team(code: str, teams: list[Team]) -> str:
    """A snippet that names the team, for who is in several."""
    if len(teams) < 2:
        return code
    name = json.dumps(teams[0].name, ensure_ascii=False)
    return code.replace('key="mdh_…")', f'key="mdh_…", team={name})', 1)


@require_safe
def log(request: HttpRequest, slug: str) -> HttpResponse:
    """What happened on a leaderboard."""
    benchmark = selectors.benchmark_get(slug)
    page = selectors.log_lines(benchmark, request.GET.get("page", 1))
    response = render(request, "leaderboard/log.html", {"benchmark": benchmark, "page": page})
    page_cache.keep(response, fields=_page_field(page))
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    """The web form, and how to do it from a notebook."""
    benchmark = selectors.benchmark_get(slug)
    splits, sealed = selectors.splits_now(benchmark)
    teams = selectors.teams_of(request.user, Act.SUBMIT)
    form = SubmitForm(request.POST or None, request.FILES or None, splits=splits, teams=teams)
    context: dict[str, Any] = {"benchmark": benchmark, "form": form, "splits": splits, "sealed": sealed,
                               "example": json.dumps({"id": "…", **benchmark.rules.example}, ensure_ascii=False)}  # fmt: skip
    ranking = next((s.name for s in splits if s.ranks), "")
    root = request.build_absolute_uri("/").rstrip("/")
    context["snippet"] = for_team(
        SNIPPET.format(root=root, slug=benchmark.slug, split=ranking), teams
    )
    if request.user.is_authenticated:
        mine: list[Team | None] = [*teams]
        left = partial(services.quotas_left, splits=splits, user=request.user)
        context["quotas"] = [
            (team, list(zip(splits, left(team=team), strict=True)))
            for team in mine or [None]  # the first submission makes one
        ]
    if request.method != "POST":
        return render(request, "leaderboard/submit.html", context)
    if not request.user.is_authenticated:
        return redirect(f"/account/login/?next={request.path}")
    if form.is_valid():
        try:
            made = _submitted(request, benchmark, form)
        except DomainError as error:
            context["problem"] = error
            form.add_error(form.field_of(error), error.message)
        else:
            return HttpResponseRedirect(made)
    return render(request, "leaderboard/submit.html", context)


def tell_checked(request: HttpRequest, checked: Checked) -> None:
    """What a file came to that was only checked.

    Raises:
        InvalidInput: it cannot be read.
    """
    services.refuse_problems(checked)
    for warned in checked.warnings:
        messages.warning(request, warned.message)
    verdict = "can be read" if checked.warnings else "is right"
    messages.success(request, f"The file {verdict}: nothing was counted, and nothing submitted.")


def _submitted(request: HttpRequest, benchmark: Benchmark, form: SubmitForm) -> str:
    data = form.cleaned_data
    split = selectors.split_get(benchmark, data["split"])
    if "check" in request.POST:
        tell_checked(request, services.predictions_check(split=split, file=data["file"].file))
        return request.path
    made = services.submission_make(
        split=split, user=request.user, card=services.card_read(data, request.user), file=data["file"].file,
        team=data.get("team", ""), is_public=data["is_public"], received_at=received_at(request),
    )  # fmt: skip
    return made.get_absolute_url()


@require_safe
@login_required
def submission(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """A submission as its own team sees it: state, errors, scores."""
    own = services.submission_own(submission_id=submission_id, user=request.user)
    context = {
        "detail": selectors.own_detail(own, request.user), "s": own, "benchmark": own.split.benchmark,
        "queue": selectors.queue_of(own),
        "quota": services.quota_left(
            team=own.team, split=own.split, phase=own.phase, user=request.user
        ),
    }  # fmt: skip
    return render(request, "leaderboard/submission.html", context)


@require_POST
@login_required
def submission_act(request: HttpRequest, submission_id: UUID, action: str) -> HttpResponse:
    """Withdraw, publish or hide a submission."""
    own = services.submission_own(submission_id=submission_id, user=request.user)
    if action == "withdraw":
        services.submission_withdraw(submission=own, actor=own.team.name)
    else:
        services.submission_publish(
            submission=own, is_public=action == "publish", actor=own.team.name
        )
    return redirect(own.get_absolute_url())
