"""Views beside the CMS's pages: search, the reference, pages as Markdown, cards, machine files."""

import hashlib

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.encoding import uri_to_iri
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_safe
from wagtail.models import Page, Site

from inference import page_cache, social_card
from research import markdown, selectors, snippets


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Published pages by their words."""
    query = selectors.words(request.GET.get("q", ""))
    pages, spelled = selectors.search_pages(query)
    context = {"query": query, "results": pages, "spelled": spelled}
    return render(request, "research/search.html", context)


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    """Every operation, in reading form."""
    context = {
        "reference": selectors.api_reference(),
        "tree": selectors.docs_tree(request=request),
        "base_url": f"{snippets.address_of(request)}/v1",
        "errors_url": "/docs/guides/errors/",
    }
    response = render(request, "research/api_reference.html", context)
    page_cache.keep(response)
    return response


@require_safe
def api_sandbox(request: HttpRequest) -> HttpResponse:
    """Every operation, to be called from the page; the reading view is beside it."""
    response = render(request, "research/api_sandbox.html")
    page_cache.keep(response)
    return response


def _page_at(request: HttpRequest, path: str) -> Page:
    site = Site.find_for_request(request)
    if site is None:
        raise Http404
    parts = path.split("/") if path else []
    page: Page = site.root_page.specific.route(request, parts).page
    # Not an address below a page, as those of its citations; nor the page's own in another form.
    own = (page.get_url_parts(request) or ("", "", ""))[2]
    asked = "".join(f"/{part}" for part in parts) + "/"
    if uri_to_iri(own) != asked or not selectors.readable(Page.objects.filter(pk=page.pk)).exists():
        raise Http404
    return page


@require_safe
def as_markdown(request: HttpRequest, path: str) -> HttpResponse:
    """A published page as Markdown, for machines and for those who read in a terminal."""
    page = _page_at(request, "" if path == "index" else path)
    text = markdown.of_page(page.specific, request)
    return HttpResponse(text, content_type="text/markdown; charset=utf-8")


@require_safe
@conditional_page  # asked for anew each time: a page may be restricted any moment
@cache_control(public=True, max_age=0, must_revalidate=True)
def card(request: HttpRequest, page_id: int) -> HttpResponse:
    """The picture that a shared link shows: the page's title on the site's own ground."""
    page = get_object_or_404(selectors.readable(Page.objects.all()), pk=page_id).specific
    accent = getattr(page, "accent", "blue")
    site = selectors.site_name(request)
    eyebrow = str(page.specific_class._meta.verbose_name).removesuffix(" page")
    key = hashlib.sha256(f"{page.title}|{accent}|{eyebrow}|{site}".encode()).hexdigest()
    picture = cache.get(f"og:{key}")
    if picture is None:
        picture = social_card.draw(page.title, eyebrow, accent, site)
        cache.set(f"og:{key}", picture, 86400)
    return HttpResponse(picture, content_type="image/png")


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """What crawlers may read: everything that is published."""
    lines = [
        "User-agent: *", "Disallow: /admin/", "Disallow: /django-admin/", "Disallow: /v1/",
        "Disallow: /playground/jobs/", "Allow: /",
        f"Sitemap: {request.build_absolute_uri('/sitemap.xml')}",
    ]  # fmt: skip
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
def llms(request: HttpRequest) -> HttpResponse:
    """llms.txt: the site's pages with a sentence each, as links to their Markdown."""
    return HttpResponse(markdown.index(request), content_type="text/plain; charset=utf-8")
