"""Which pages a reader may be told of: those under no restriction, or under none that bars them."""

from typing import Any

from django.conf import settings
from django.db.models import CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from wagtail.models import PageViewRestriction

from inference import page_cache


def readable(pages: Any, request: HttpRequest | None = None) -> Any:
    """The published ones of some pages, without those that an editor restricted.

    A restriction holds for the page, for all under it, and for aliases of either; unlike Wagtail's
    `public()` this is part of the one query.

    Args:
        pages: a query of pages, of any of their models; the same comes back.
        request: whose reader it is. Without one, or without a session, nobody in particular reads.
    """
    bars = _restrictions_of_outer_page()
    barring = barred(request)
    if barring is not None:
        bars = bars.filter(pk__in=barring)
    return pages.filter(~Exists(bars), in_time(), live=True)


def barred(request: HttpRequest | None) -> frozenset[int] | None:
    """The restrictions that bar a request's reader; None for all there are, for nobody in particular.
    Readers with the same ones may be told of the same pages."""
    if request is None or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    every = page_cache.remember(
        "restrictions", lambda: list(PageViewRestriction.objects.prefetch_related("groups"))
    )
    return frozenset(r.pk for r in every if not r.accept_request(request))


def in_time() -> Q:
    """Pages whose time is not over: they are unpublished by a task, which comes once a minute."""
    return Q(expire_at=None) | Q(expire_at__gt=Now())


def _restrictions_of_outer_page() -> QuerySet[PageViewRestriction]:
    here = ExpressionWrapper(OuterRef("path"), output_field=CharField())
    own = Q(here__startswith=F("page__path"), page__alias_of=None)
    alias = Q(here__startswith=F("page__aliases__path"))
    of_alias = Q(here__startswith=F("page__aliases__aliases__path"))
    return PageViewRestriction.objects.annotate(here=here).filter(own | alias | of_alias)
