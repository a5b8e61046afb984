"""Which pages a reader may be told of: those under no restriction, or under none that bars them."""

from typing import Any

from django.conf import settings
from django.db.models import CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.http import HttpRequest
from wagtail.models import PageViewRestriction


def readable(pages: Any, request: HttpRequest | None = None) -> Any:
    """The published ones of some pages, without those that an editor restricted.

    A restriction holds for the page, for all under it, and for aliases of either; unlike Wagtail's
    `public()` this is part of the one query.

    Args:
        pages: a query of pages, of any of their models; the same comes back.
        request: whose reader it is. Without one, or without a session, nobody in particular reads.
    """
    bars = _restrictions_of_outer_page()
    if request is not None and settings.SESSION_COOKIE_NAME in request.COOKIES:
        every = PageViewRestriction.objects.prefetch_related("groups")
        bars = bars.filter(pk__in=[r.pk for r in every if not r.accept_request(request)])
    return pages.filter(~Exists(bars), live=True)


def _restrictions_of_outer_page() -> QuerySet[PageViewRestriction]:
    here = ExpressionWrapper(OuterRef("path"), output_field=CharField())
    own = Q(here__startswith=F("page__path"), page__alias_of=None)
    alias = Q(here__startswith=F("page__aliases__path"))
    of_alias = Q(here__startswith=F("page__aliases__aliases__path"))
    return PageViewRestriction.objects.annotate(here=here).filter(own | alias | of_alias)
