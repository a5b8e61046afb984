"""The builder's page; its form works without JavaScript, and its scripts post the same form."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_POST

from inference.engine.rewards import PRESETS
from inference.engine.rewards.cases import MAX_TEXT
from inference.engine.rewards.reward import MAX_DOCUMENT
from inference.errors import DomainError
from playground import errors
from playground.replies import attached, refused_as_text, with_retry
from playground.rewards.page import Bench
from playground.rewards.work import MAX_STATE, Work, act, read_form
from pricing import throttling

MAX_BODY = 600_000
_KINDS = {"json": "application/json", "py": "text/x-python"}


@require_http_methods(["GET", "HEAD", "POST"])
def builder(request: HttpRequest) -> HttpResponse:
    """The page, or with `X-Partial` only what a change of the form changes."""
    if request.method != "POST":
        return _answer(request, Work.start())
    try:
        _check(request)
    except DomainError as error:
        work = Work.start()
        work.notice = f"{error.message} {error.hint}".strip()
        return with_retry(_answer(request, work, status=error.status), error)
    action = request.POST.get("do", "score")
    if action == "load":
        return _answer(request, _loaded(request.POST.get("state", "")))
    work = Work.start() if action == "reset" else read_form(request.POST.dict())
    act(work, action, request.POST.dict(), _upload(request))
    kind = action.removeprefix("export-")
    if kind in _KINDS:
        bench = Bench(work)
        if bench.reward:
            text = bench.json_text if kind == "json" else bench.python_text
            return _file(text, bench.reward.name, kind)
    return _answer(request, work)


@require_POST
def score_answer(request: HttpRequest) -> HttpResponse:
    """What one of the presets gives an answer, as a part of a page."""
    try:
        throttling.check(request, throttling.SCORE)
    except DomainError as error:
        return refused_as_text(error)
    preset = PRESETS.get(request.POST.get("preset", ""))
    if preset is None:
        raise Http404
    text = request.POST.get("text", "")[:MAX_TEXT]
    reference = request.POST.get("reference", "").strip()[:MAX_TEXT]
    work = Work(preset.reward.to_dict(), "", references={"answer": reference} if reference else {})
    score = preset.reward.score(text, work.reference_of("answer", None))
    titles = [term.type.title for term in preset.reward.terms]
    context = {
        "total": score.total, "rows": list(zip(titles, score.values, score.notes, strict=True)),
        "preset": preset,
    }  # fmt: skip
    return render(request, "playground/rewards/_score.html", context)


def _check(request: HttpRequest) -> None:
    throttling.check(request, throttling.SCORE)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
        raise errors.TOO_LARGE()


def _loaded(state: str) -> Work:
    try:
        if len(state) > MAX_STATE:
            raise ValueError("it is too long")  # told like any other fault of it
        return Work.of_state(state)
    except (ValueError, RecursionError) as error:
        work = Work.start()
        work.notice = f"The link's reward cannot be read: {error}. This is a new one."
        return work


def _upload(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    return file.read(MAX_DOCUMENT + 1).decode(errors="replace") if file else ""


def _file(text: str, name: str, kind: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{_KINDS[kind]}; charset=utf-8")
    stem = slugify(name)[:60] or "reward"
    stem = stem.replace("-", "_") if kind == "py" else stem
    return attached(answer, f"{stem}.{kind}")


def _answer(request: HttpRequest, work: Work, status: int = 200) -> HttpResponse:
    partial = request.headers.get("X-Partial") == "1"
    template = "playground/rewards/_bench.html" if partial else "playground/rewards/index.html"
    answer = render(request, template, {"bench": Bench(work)}, status=status)
    answer["Cache-Control"] = "no-store"
    answer["Vary"] = "X-Partial"
    return answer
