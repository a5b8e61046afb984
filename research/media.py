"""Files that editors and importers stored: who may have them, and so that none runs from this origin.

Both addresses of a file, a document's own and the storage's, go through here in every deployment. A
file is given by the restrictions that hold now: of its collection, or of the page it belongs to.
"""

import mimetypes
import posixpath
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, quote_etag
from django.views.decorators.http import require_safe
from wagtail.documents import get_document_model
from wagtail.documents.views.serve import serve
from wagtail.images import get_image_model
from wagtail.models import Collection

from research import selectors
from research.models import NotebookPage

_SHOWN = {
    "application/pdf", "image/avif", "image/gif", "image/jpeg", "image/png", "image/webp",
    "text/plain", "video/mp4", "video/webm",
}  # fmt: skip
"""What a browser may show at this origin; everything else is saved as a file, of no type it runs."""
_PDF = "application/pdf"
_MODERATE_S = 300
"""How long a browser may keep a picture of nobody's restriction without asking again."""


def guarded(response: HttpResponseBase, name: str) -> HttpResponseBase:
    """An answer with a stored file, so that no browser runs it as a page of this site.

    Args:
        name: the file's, by which its type is told; never what its bytes say.
    """
    kind, encoding = mimetypes.guess_type(name)
    shown = kind in _SHOWN and encoding is None
    response["Content-Type"] = str(kind) if shown else "application/octet-stream"
    if kind == "text/plain" and shown:
        response["Content-Type"] = "text/plain; charset=utf-8"
    header = content_disposition_header(not shown, PurePosixPath(name).name)
    response["Content-Disposition"] = header or "inline"
    # Chromium shows no PDF in a sandbox; its viewer runs nothing in this origin.
    sandbox = "" if kind == _PDF else "; sandbox"
    response["Content-Security-Policy"] = f"default-src 'none'; style-src 'unsafe-inline'{sandbox}"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
def document(request: HttpRequest, document_id: str, name: str) -> HttpResponseBase:
    """A document by its number and name, after Wagtail's checks of its collection."""
    if len(document_id) > 18:
        raise Http404
    response: HttpResponseBase = serve(request, document_id, name)
    if response.status_code not in (200, 206, 304) or not response.has_header(
        "X-Content-Type-Options"
    ):
        return response  # the way to sign in, or a form for the collection's password
    response["Cache-Control"] = "private, no-cache"
    return response if response.status_code == 304 else guarded(response, name)


@require_safe
def file(request: HttpRequest, name: str) -> HttpResponseBase:
    """A file by its name in the storage, if it is of a kind that has such an address."""
    rule = _RULES.get(name.partition("/")[0])
    if rule is None or "\0" in name or posixpath.normpath(name) != name:
        raise Http404
    if rule is _document:
        return redirect(_document(name))
    for_all = rule(request, name)
    try:
        etag = quote_etag(default_storage.version(name))  # type: ignore[attr-defined]
        known = get_conditional_response(request, etag=etag)
        response = known or guarded(FileResponse(default_storage.open(name)), name)
    except (FileNotFoundError, ValueError, SuspiciousFileOperation):
        raise Http404 from None
    response["ETag"] = etag
    response["Cache-Control"] = f"public, max-age={_MODERATE_S}" if for_all else "private, no-cache"
    return response


def _document(name: str) -> str:
    """The address of a document, where its collection is checked."""
    found = get_document_model().objects.filter(file=name).first()
    if found is None:
        raise Http404
    return str(reverse("wagtaildocs_serve", args=[found.pk, found.filename]))


def _rendition(request: HttpRequest, name: str) -> bool:
    model = get_image_model().get_rendition_model()
    found = model.objects.filter(file=name).select_related("image__collection").first()
    return _of_collection(request, found and found.image.collection)


def _original(request: HttpRequest, name: str) -> bool:
    found = get_image_model().objects.filter(file=name).select_related("collection").first()
    return _of_collection(request, found and found.collection)


def _notebook(request: HttpRequest, name: str) -> bool:
    pages = NotebookPage.objects.filter(file=name)
    if selectors.readable(pages).exists():
        return True
    if not (_is_editor(request) or selectors.readable(pages, request).exists()):
        raise Http404
    return False


def _avatar(request: HttpRequest, name: str) -> bool:
    if not _is_editor(request):
        raise Http404
    return False


def _public(request: HttpRequest, name: str) -> bool:
    return True


_RULES: dict[str, Callable[..., Any]] = {
    "documents": _document, "images": _rendition, "original_images": _original,
    "notebooks": _notebook, "avatar_images": _avatar, "benchmarks": _public,
}  # fmt: skip
"""By the storage's first folder: whether a file is everybody's (True) or this reader's (False); a 404
if neither. A folder that is not here has no address."""


def _of_collection(request: HttpRequest, collection: Collection | None) -> bool:
    if collection is None:
        raise Http404
    rules = list(collection.get_view_restrictions())
    if not all(rule.accept_request(request) for rule in rules) and not _is_editor(request):
        raise Http404
    return not rules


def _is_editor(request: HttpRequest) -> bool:
    """Who works in the CMS sees its pictures there, whatever readers see."""
    return bool(request.user.has_perm("wagtailadmin.access_admin"))
