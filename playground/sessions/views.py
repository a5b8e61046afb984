"""Pages of a visitor's sessions, and what a link shows to others."""

from typing import Any
from uuid import UUID

import redis
from csp.decorators import csp
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_POST, require_safe

from inference import answering, images, sse, stream
from inference import errors as inference_errors
from inference.database import in_thread
from inference.errors import DomainError
from inference.models import Job, StoredImage
from playground import selectors as playground
from playground.comparison import selectors as comparisons
from playground.comparison.pictures import picture as comparison_picture
from playground.models import Share
from playground.replies import refused
from playground.sessions import selectors, services
from playground.sessions.selectors import RunView
from playground.sessions.visitor import visitor_of
from pricing import throttling
from pricing.callers import caller_of

_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_EMBEDDED = {
    "default-src": ["'none'"], "img-src": ["'self'"], "style-src": ["'self'"], "font-src": ["'self'"],
    "base-uri": ["'none'"], "form-action": ["'none'"], "frame-ancestors": ["*"],
}  # fmt: skip
"""What a run in another site's page may do: show itself."""


@require_POST
def run_save(request: HttpRequest) -> HttpResponse:
    """Save a job of this visitor's: called by the page as soon as it is accepted."""
    visitor = visitor_of(request, make=True)
    try:
        throttling.check(request)
        run = services.run_save(
            job_id=_job_id(request.POST.get("job", "")), owner_key=caller_of(request).digest, visitor=visitor,
            session_id=request.POST.get("session", ""), image_name=request.POST.get("image_name", ""),
            sample=request.POST.get("sample", ""),
        )  # fmt: skip
    except DomainError as error:
        return refused(error)
    address = reverse("playground:session", args=[run.session_id])
    saved = {"run": run.pk, "session": run.session_id, "url": address}
    return visitor.remembered(request, JsonResponse(saved, status=201))


def _job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise inference_errors.JOB_NOT_FOUND() from error


@never_cache
@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """The visitor's sessions, or those in which some words were asked or answered."""
    search = request.GET.get("q", "").strip()[:200]
    visitor = visitor_of(request)
    page, rows = selectors.sessions_page(visitor, request.GET.get("page"), search)
    context = {
        "page": page,
        "rows": rows,
        "search": search,
        "examples": [] if rows else playground.examples(),
        "keeps_days": settings.SESSIONS_RETENTION_DAYS,
    }
    return render(request, "playground/sessions/index.html", context)


@never_cache
@require_safe
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """One session, run by run."""
    found = selectors.session_get(visitor_of(request), session_id)
    runs = selectors.runs_of(found)
    title = found.name or (runs[0].title[:120] if runs else "Empty session")
    context = {
        "session": found, "runs": runs, "title": title, "site": request.build_absolute_uri("/")[:-1],
    }  # fmt: skip
    return render(request, "playground/sessions/session.html", context)


@never_cache
@require_safe
def session_runs(request: HttpRequest, session_id: str) -> HttpResponse:
    """A session's runs for the playground's script, the oldest first."""
    found = selectors.session_get(visitor_of(request), session_id)
    return JsonResponse({"id": found.pk, "runs": [r.data() for r in selectors.runs_of(found)]})


@require_POST
def session_act(request: HttpRequest, session_id: str, name: str) -> HttpResponse:
    """Rename, fork or delete a session."""
    visitor = visitor_of(request)
    found = selectors.session_get(visitor, session_id)
    match name:
        case "rename":
            services.session_rename(session=found, name=request.POST.get("name", ""))
        case "fork":
            found = services.session_fork(session=found, visitor=visitor)
            messages.success(request, "This is the copy. What you ask here is not in the first.")
        case "delete":
            return _deleted(request, lambda: services.session_delete(session=found))
        case _:
            raise Http404
    return redirect("playground:session", found.pk)


def _deleted(request: HttpRequest, delete: Any) -> HttpResponse:
    try:
        delete()
    except redis.exceptions.RedisError as error:
        raise inference_errors.QUEUE_UNAVAILABLE(hint="Try again in a moment.") from error
    messages.success(request, "Deleted. Its images follow within a day.")
    return redirect("playground:sessions")


@require_POST
def run_act(request: HttpRequest, saved_run_id: int, name: str) -> HttpResponse:
    """Share or delete a run."""
    found = selectors.run_get(visitor_of(request), saved_run_id)
    if name == "delete":
        back = redirect("playground:session", found.session_id)
        is_last = found.session.runs.listed().count() == 1
        answer = _deleted(request, lambda: services.run_delete(run=found))
        return answer if is_last else back
    if name != "share":
        raise Http404
    try:
        share = services.share_make(run=found, days=request.POST.get("days", ""))
    except DomainError as error:
        return refused(error)
    address = request.build_absolute_uri(reverse("playground:shared", args=[share.token]))
    if request.accepts("text/html"):
        return redirect(f"{reverse('playground:session', args=[found.session_id])}#run-{found.pk}")
    return JsonResponse({"url": address, "token": share.token}, status=201)


@require_POST
def share_revoke(request: HttpRequest, share_token: str) -> HttpResponse:
    """End a link."""
    share = selectors.own_share_get(visitor_of(request), share_token)
    services.share_revoke(share=share)
    if not request.accepts("text/html"):
        return HttpResponse(status=204)
    messages.success(request, "The link shows nothing any more.")
    if share.comparison_id:
        page = "grid" if share.is_grid else "comparison"
        return redirect(f"playground:{page}", share.comparison_id)
    return redirect("playground:session", share.run.session_id)


@require_safe
def run_image(request: HttpRequest, saved_run_id: int) -> HttpResponse:
    """The image of a run of the visitor's own."""
    return image_response(selectors.run_get(visitor_of(request), saved_run_id).job.image)


def image_response(stored: StoredImage | None) -> HttpResponse:
    """A stored image, for whoever may see it.

    Raises:
        Http404: it is gone.
    """
    if stored is None:
        raise Http404
    try:
        data = images.stored_bytes(stored.file_name)
    except FileNotFoundError as error:
        raise Http404 from error
    response = HttpResponse(
        data, content_type=_TYPES.get(stored.extension, "application/octet-stream")
    )
    response["Cache-Control"] = "private, max-age=3600"
    return response


def unlisted(response: HttpResponse) -> HttpResponse:
    """A link is for those who have it: no search engine keeps it, and it is not sent on as a referrer."""
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_safe
def shared(request: HttpRequest, share_token: str) -> HttpResponse:
    """What a link shows; it needs no JavaScript, and with it an answer on its way comes by itself."""
    context = _shown(request, share_token)
    return unlisted(render(request, f"playground/{context['room']}shared.html", context))


def _shown(request: HttpRequest, share_token: str) -> dict[str, Any]:
    share = selectors.share_get(share_token)
    context = {"share": share, "site": request.build_absolute_uri("/")[:-1]}
    if share.is_grid:
        grid = comparisons.shared_grid(share)
        return context | {"view": grid, "job": grid.first.job, "room": "comparison/grid_"}
    if share.comparison is not None:
        found = comparisons.shared_comparison(share)
        return context | {"view": found, "job": found.first.job, "room": "comparison/"}
    view = RunView(share.run)
    return context | {"view": view, "job": view.job, "room": "sessions/"}


@never_cache
@xframe_options_exempt
@csp(_EMBEDDED)  # type: ignore[arg-type]  # it takes views with arguments too
@require_safe
def embedded(request: HttpRequest, share_token: str) -> HttpResponse:
    """The same as a frame in another site's page."""
    context = _shown(request, share_token)
    return unlisted(render(request, f"playground/{context['room']}embedded.html", context))


@require_safe
def shared_image(request: HttpRequest, share_token: str) -> HttpResponse:
    """The image of a link; of a grid one of them, by its row."""
    share = selectors.share_get(share_token)
    stored = comparisons.shared_image_of(share, request.GET.get("row", "1"))
    return unlisted(image_response(stored))


@require_safe
def shared_data(request: HttpRequest, share_token: str) -> HttpResponse:
    """What the playground's script needs to ask the same."""
    view = RunView(selectors.share_get(share_token).run)
    image = reverse("playground:shared_image", args=[share_token]) if view.image else ""
    data = {
        "skill": view.job.skill, "prompt": view.prompt, "variant": view.job.model_name,
        "sample": view.run.sample, "image": {"url": image, "name": view.image_alt}, "settings": view.settings,
    }  # fmt: skip
    return unlisted(JsonResponse(data))


@require_safe
def shared_card(request: HttpRequest, share_token: str) -> HttpResponse:
    """The picture that goes with the link where it is posted."""
    share = selectors.share_get(share_token)
    if share.comparison is not None:
        picture = comparison_picture(comparisons.shared_comparison(share), request.get_host())
    else:
        picture = selectors.card_of(RunView(share.run), request.get_host())
    return unlisted(HttpResponse(picture, content_type="image/png"))


def _followed(share: Share, column: str) -> Job:
    """The job whose answer is followed: of a comparison one of its columns."""
    if share.comparison is None:
        return share.run.job
    answers = dict(enumerate(comparisons.answers_of(share.comparison), 1))
    return next((view.job for number, view in answers.items() if str(number) == column), answers[1].job)  # fmt: skip


@require_safe
async def shared_events(request: HttpRequest, share_token: str) -> HttpResponseBase:
    """The answer as it comes, as server-sent events. The job's own address, by which it is asked for
    without the link, is not told."""
    share = await in_thread(selectors.share_get)(share_token)
    job = await in_thread(_followed)(share, request.GET.get("column", ""))
    after = stream.at(request.headers.get("Last-Event-ID", ""))
    try:
        await stream.check()
        return sse.response(request, answering.events(job, after))
    except redis.exceptions.RedisError:
        return refused(inference_errors.QUEUE_UNAVAILABLE())
    except DomainError as error:
        return refused(error)
