"""The header's and footer's content, from the CMS."""

from dataclasses import dataclass, field

from django import template
from wagtail.models import Site

from research.models import Navigation, NavigationLink

register = template.Library()


@dataclass(frozen=True, slots=True)
class Chrome:
    """What surrounds every page."""

    links: list[NavigationLink] = field(default_factory=list)
    announcement: str = ""
    announcement_link: str = ""
    footer_text: str = ""


@register.simple_tag(takes_context=True)
def shell_chrome(context: template.Context) -> Chrome:
    """Navigation of the request's site; empty on an error page without a request."""
    request = context.get("request")
    site = Site.find_for_request(request) if request else None
    if site is None:
        return Chrome()
    navigation = Navigation.for_site(site)
    return Chrome(
        list(navigation.links.all()),
        navigation.announcement,
        navigation.announcement_link,
        navigation.footer_text,
    )
