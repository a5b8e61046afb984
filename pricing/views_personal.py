"""One's own data to take away, and deleting one's account."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core.exceptions import ReauthenticationRequired
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from inference import personal
from inference.database import release
from inference.errors import DomainError
from pricing import services
from pricing.models import DataExport

View = Callable[..., HttpResponseBase]


def password_again(view: View) -> View:
    """Whoever posts has given the password, or a second step, within the last minutes: allauth asks for it,
    and the form is sent on afterwards."""

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and not did_recently_reauthenticate(request):
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return asked


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@password_again
def data(request: HttpRequest) -> HttpResponse:
    """Ask for an archive, see how far it is, download it."""
    if request.method == "POST":
        try:
            services.export_request(user=request.user)
        except DomainError as error:
            messages.error(request, error.whole)
        return redirect("data_export")
    latest = DataExport.objects.filter(user=request.user.pk).first()
    context = {"export": latest, "days": settings.DATA_EXPORT_DAYS}
    return render(request, "pricing/data.html", context)


@require_safe
@never_cache
@login_required
def download(request: HttpRequest, export_id: int) -> StreamingHttpResponse:
    """The archive, to its owner alone."""
    export, pieces = services.export_open(user=request.user, export_id=export_id)
    response = StreamingHttpResponse(_one_by_one(pieces), content_type="application/zip")
    made = timezone.localtime(export.finished_at).strftime("%Y-%m-%d")
    response["Content-Disposition"] = f'attachment; filename="moondream-hub-data-{made}.zip"'
    response["Content-Length"] = str(export.size_bytes)
    response["X-Content-Type-Options"] = "nosniff"
    return response


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, each read when the client has taken the one before: Django would read a synchronous
    iterator to its end first."""
    following = sync_to_async(lambda: next(pieces, None))
    try:
        while (piece := await following()) is not None:
            yield piece
    finally:
        await sync_to_async(release)()


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@password_again
def delete(request: HttpRequest) -> HttpResponse:
    """What is deleted and what is kept, and the form that asks for it; while it is on its way, how to undo
    it."""
    error = ""
    if request.method == "POST":
        try:
            services.deletion_request(
                user=request.user, typed=request.POST.get("typed", ""),
                keep_session=request.session.session_key or "",
            )  # fmt: skip
        except DomainError as refused:
            error = refused.whole
        else:
            return redirect("account_delete")
    pending = services.deletion_pending(request.user)
    context: dict[str, Any] = {
        "pending": pending, "error": error, "days": settings.ACCOUNT_DELETION_DAYS,
        "phrase": services.deletion_phrase(request.user), "typed": request.POST.get("typed", ""),
    }  # fmt: skip
    if pending is None:
        rooms = personal.rooms()
        context |= {
            "obstacles": services.deletion_obstacles(request.user),
            "deleted": [(r.title, found) for r in rooms if (found := r.deleted(request.user))],
            "kept": [text for r in rooms for text in r.kept(request.user)],
        }
    return render(request, "pricing/delete_account.html", context, status=422 if error else 200)


@require_POST
@never_cache
@login_required
def keep(request: HttpRequest) -> HttpResponse:
    """Keep the account after all."""
    try:
        services.deletion_undo(user=request.user)
    except DomainError as error:
        messages.error(request, error.whole)
    else:
        messages.success(request, "Your account stays. API keys that ended stay so: make new ones.")
    return redirect("account")
