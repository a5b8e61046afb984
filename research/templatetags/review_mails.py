"""What Wagtail's mails say, for its templates of them."""

from typing import Any

from django import template

from pricing.mails import KINDS
from research import mails

register = template.Library()


def _given(context: template.Context) -> dict[str, Any]:
    return {str(name): value for name, value in context.flatten().items()}


@register.simple_tag(takes_context=True)
def review_subject(context: template.Context, name: str) -> str:
    """The subject of a mail, by its kind's name."""
    return mails.written(KINDS[name], _given(context))[0]


@register.simple_tag(takes_context=True)
def review_body(context: template.Context, name: str) -> str:
    """Likewise its text."""
    return mails.written(KINDS[name], _given(context))[1]
