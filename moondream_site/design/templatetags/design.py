"""Template tags of the design system; built in to every template."""

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from inference.measurement import Measurement
from moondream_site import status_host

register = template.Library()

_PATHS = {
    "arrow": '<path d="M4 10h12M11 5l5 5-5 5"/>',
    "up": '<path d="M10 16V4M5 9l5-5 5 5"/>',
    "down": '<path d="M10 4v12M5 11l5 5 5-5"/>',
    "play": '<path d="M6 4.5v11l9-5.5z"/>',
    "menu": '<path d="M3 6h14M3 10h14M3 14h14"/>',
    "close": '<path d="M5 5l10 10M15 5L5 15"/>',
    "info": '<circle cx="10" cy="10" r="7.5"/><path d="M10 9v5M10 6.2v.1"/>',
    "warn": '<path d="M10 3l8 14H2zM10 8.5v4M10 14.6v.1"/>',
    "search": '<circle cx="9" cy="9" r="5.5"/><path d="M13.2 13.2L17 17"/>',
    "person": '<circle cx="10" cy="7" r="3.2"/><path d="M3.8 17c.7-3.4 3.2-5 6.2-5s5.5 1.6 6.2 5"/>',
    "check": '<circle cx="10" cy="10" r="7.5"/><path d="M6.5 10.2l2.4 2.4 4.6-5"/>',
    "cross": '<circle cx="10" cy="10" r="7.5"/><path d="M7.3 7.3l5.4 5.4M12.7 7.3l-5.4 5.4"/>',
    "unknown": '<circle cx="10" cy="10" r="7.5" stroke-dasharray="3 2.4"/>',
    "image": '<rect x="3" y="4" width="14" height="12" rx="2"/><path d="M3 13l4-4 4 4 2-2 4 4"/><circle cx="13" cy="7.6" r="1.1"/>',
    "copy": '<rect x="7" y="7" width="9" height="9" rx="1.5"/><path d="M13 7V5.5A1.5 1.5 0 0 0 11.5 4h-6A1.5 1.5 0 0 0 4 5.5v6A1.5 1.5 0 0 0 5.5 13H7"/>',
    "bell": '<path d="M4.500 14h11c-1.200-1.300-1.700-2.600-1.700-5.300a3.800 3.800 0 0 0-7.600 0c0 2.700-.5 4-1.700 5.300zM8.300 16.500a1.800 1.800 0 0 0 3.400 0"/>',
    "upload": '<path d="M10 13V4M6 7.5L10 3.5l4 4M4 13v3h12v-3"/>',
    "link": '<path d="M8 12l4-4M7.5 8.5L5 11a2.8 2.8 0 0 0 4 4l2.5-2.5M12.5 11.5L15 9a2.8 2.8 0 0 0-4-4L8.500 7.500"/>',
}  # fmt: skip
_CHIPS = {
    "verified": ("✓", "Scored on this server against references nobody outside can see."),
    "reproduced": ("↻", "Run by our own worker."),
    "measured": ("↻", "Measured by this system."),
    "reported": ("↗", "As published by its source; not measured here."),
    "sample": ("◌", "An illustration, not a result."),
}


@register.simple_tag
def sends_mail() -> bool:
    """Whether this site sends letters: what promises one asks first."""
    return bool(settings.SENDS_MAIL)


@register.filter
def linked(address: str) -> str:
    """An address of this site as pages link to it."""
    return status_host.linked(address)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A line icon, decorative: the text beside it says what it means."""
    return mark_safe(  # noqa: S308  # the paths above are ours
        '<svg viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        f"{_PATHS[name]}</svg>"
    )


@register.simple_tag
def provenance(kind: str, text: str = "") -> SafeString:
    """The chip that says where a figure or picture comes from."""
    mark, meaning = _CHIPS[kind]
    return format_html(
        '<span class="chip" title="{}"><span aria-hidden="true">{}</span> {}</span>',
        meaning, mark, text or kind,
    )  # fmt: skip


@register.simple_tag
def measurement(figure: Measurement | None) -> SafeString:
    """A figure with unit and provenance; a dash where nothing was measured yet."""
    if figure is None:
        return mark_safe('<span class="quiet">not measured yet</span>')
    source = (
        format_html('<a href="{}">{}</a>', figure.url, figure.source)
        if figure.url
        else figure.source
    )
    return format_html(
        '<span class="mono">{}&nbsp;{}</span> {} <span class="visually-hidden">{}</span>',
        f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.3g}", figure.unit, provenance(figure.provenance), source,
    )  # fmt: skip
