"""Every address of the site, as its URL patterns name it, and how one of it is filled."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

OURS = (
    "moondream_site",
    "notifications",
    "status",
    "research",
    "playground",
    "leaderboard",
    "pricing",
    "inference",
)
"""The rooms; what lies below `admin/` and names none of them is a library's."""


def addresses() -> list[str]:
    """Every pattern, from the site's root, in the resolver's order; the same one only once."""
    return list(dict.fromkeys(_walk(get_resolver())))


def _walk(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        whole = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield whole
        else:
            yield from _walk(entry, whole)


def is_admin(address: str) -> bool:
    """Whether an address belongs to Wagtail's admin's side."""
    return address.startswith("admin/")


def is_library(address: str) -> bool:
    """Whether an address of an admin's side is a library's own page, and not of our models."""
    if not is_admin(address):
        return False
    words = set(re.split(r"[^a-z_-]+", address))
    return not words & {
        *OURS,
        "unused-media",
        "prompts",
        "undescribed",
        "failing-notebooks",
        "import-papers",
        "mails",
        "credits",
        "research-credits",
        "django_celery_beat",
        "taggit",
    }


def is_api(address: str) -> bool:
    return address.startswith(("v1/", "api/")) and address != "api/docs"


_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")
_NAMED = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
_PLAIN = re.compile(r"\((?!\?)(?:[^()]|\([^()]*\))*\)")


def filled(address: str, values: Mapping[str, Any]) -> str:
    """A path of an address: its named parts from `values`, its nameless ones from `values["0"]`,
    `values["1"]` … in turn.

    Raises:
        KeyError: no value for a part.
    """
    text = _NAMED.sub(lambda m: str(values[m[1]]), address)
    count = iter(range(9))
    text = _PLAIN.sub(lambda _: str(values[str(next(count))]), text)
    text = _CONVERTED.sub(lambda m: str(values[m[1]]), text)
    text = text.replace("^", "").replace("$", "").replace("\\.", ".").replace(".*", "x")
    return f"/{text}"
