"""Whole pages for readers without a session, until something that they show is changed.

A middleware ahead of all that touches the database, on Django's cache. A response is kept when its
view marked it with `keep`, together with the versions of the topics it is about as they were before it
was made; `forget` gives a topic another version, and what is older counts no more. Each room names
the tables that its pages show (`watch`): whatever writes to one of them, in any process and in
whatever way Django knows, gives their topic a new version once it is committed. When the cache cannot
be reached, this steps aside.

Strangers choose addresses, hosts and headers, so none of them is a key as it was sent. A key is the
scheme, a host of the settings, the path, the query fields that the view says it used, and for a view
that answers htmx with a part of the page, whether it is this part; an answer to a field that the view
did not use is not kept. Everything else a request carries (the order of its fields, its encoding,
Accept-Language, its method) makes no entry of its own.

What Django finally answers with a kept page, `moondream_site.kept_pages` sends from this process's
memory.
"""

import functools
import logging
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.cache import cache
from django.db import connection as default_connection
from django.db import models, transaction
from django.db.backends.signals import connection_created
from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_vary_headers
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
PAGES, STATUS = "pages", "status"
TOPICS = (PAGES, STATUS)
"""What kept pages are about, each with a version of its own: what editors publish and what was measured;
how the site is going, which changes each minute."""
SECONDS = 600
"""How long a page is kept at most."""
_MARK = "_page_cache"
KEPT = "moondream.kept_page"
"""Of an ASGI scope: the `Kept` page that answers it."""
_NEVER = (
    "/v1/", "/api/", "/admin/", "/django-admin/", "/media/", "/documents/", "/healthz", "/readyz",
)  # fmt: skip
"""Addresses without kept pages: they need not ask the cache."""
_PERSONAL = ("Authorization", "X-Moondream-Auth")
"""Headers of a request whose answer may be for its sender alone."""
_PART = "hx-request"
"""The one header, in small letters, that a kept page may depend on."""
_QUERY = {
    "page": re.compile(r"[1-9][0-9]{0,3}"),
    "tag": re.compile(r".{1,100}"),
    "year": re.compile(r"[12][0-9]{3}"),
}
"""Query fields that may make a page of their own, and the one form of their values."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a view says of an answer."""

    seconds: float
    fields: dict[str, str]
    topics: tuple[str, ...]


def keep(
    response: HttpResponseBase, seconds: float = SECONDS, fields: Mapping[str, str] | None = None,
    *, topics: tuple[str, ...] = (PAGES,),
) -> None:  # fmt: skip
    """Mark a response as the same for every reader who is not signed in. Where it depends on whether
    htmx asks for it, its Vary header says HX-Request.

    Args:
        seconds: how long it may be kept; 0 takes an earlier mark away.
        fields: the query fields it depends on, with the values it was made from. It is kept only
            for a request with exactly these: what matches nothing makes no entry.
        topics: what it is about; a new version of any of them ends it.
    """
    setattr(response, _MARK, _Mark(seconds, dict(fields or {}), topics))


# Versions


def version_key(topic: str) -> str:
    """Under which name the cache has a topic's version."""
    return f"pages:generation:{topic}"


def forget(topic: str = PAGES, *, using: Any = default_connection) -> None:
    """Something that pages of a topic show has changed: none that was made before counts any more.
    Within a transaction this happens when it is committed, so that no page of what was there before is
    made in between and kept.

    Args:
        using: the connection whose transaction it is.
    """
    if not using.in_atomic_block:
        _new_version(topic)
        return
    here = set(using.savepoint_ids)
    renew = _RENEW[topic]
    # One that a savepoint around this write waits with is done whenever this one would be.
    if not any(call is renew and sids <= here for sids, call, *_ in using.run_on_commit):
        transaction.on_commit(renew, using=using.alias)


def _new_version(topic: str) -> None:
    # Not a count: one that the cache drops would begin again, and what is older would count once more.
    try:
        cache.set(version_key(topic), uuid4().hex, None)
    except RedisError:
        log.warning("The page cache cannot be reached; kept pages may be old until they expire.")


_RENEW = {topic: partial(_new_version, topic) for topic in TOPICS}


def _version(topic: str) -> str | None:
    """A topic's version; None where there is none, or the cache cannot be reached."""
    try:
        found: str | None = cache.get(version_key(topic))
    except RedisError:
        return None
    return found


def _begin(topic: str) -> str:
    """A topic's first version in an empty cache."""
    made = uuid4().hex
    try:
        cache.add(version_key(topic), made, None)
    except RedisError:
        log.warning("The page cache cannot be reached; nothing is kept.")
    return made


# What changes them


@dataclass(frozen=True, slots=True)
class _Watched:
    """A table that pages show."""

    topic: str
    unshown: frozenset[str]
    inserts: bool


T = TypeVar("T")
_tables: dict[str, _Watched] = {}
_dates: list[tuple[type[models.Model], str]] = []
_WRITES = re.compile(r'\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+(?:ONLY\s+)?"?(\w+)"?', re.I)  # fmt: skip
_SET = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|$)", re.I | re.S)
_COLUMN = re.compile(r'"(\w+)"\s*=')


def watch(
    *shown: type[models.Model], topic: str = PAGES, unshown: Iterable[str] = (), inserts: bool = True
) -> None:  # fmt: skip
    """Name models whose rows pages show; also the tables of what they extend, and of who is related to
    whom by their many-to-many fields.

    Args:
        unshown: names of fields that no kept page depends on: writing these alone changes none.
        inserts: whether a new row changes a page; not so where only a change of another one shows it.
    """
    for model in shown:
        fields = [f for f in model._meta.get_fields() if isinstance(f, models.Field)]
        columns = frozenset(f.column for f in fields if f.name in set(unshown) and f.column)
        for table in {m._meta.db_table for m in (model, *model._meta.get_parent_list())}:
            _watch(table, _Watched(topic, columns, inserts))
        for many in model._meta.many_to_many:
            if many.name in set(unshown):
                continue
            through: Any = many.remote_field.through
            _watch(through._meta.db_table, _Watched(topic, frozenset(), inserts=True))


def _watch(table: str, watched: _Watched) -> None:
    # The first that names a table says what of it is not shown.
    _tables.setdefault(table, watched)


def watched() -> frozenset[str]:
    """The tables whose rows kept pages show."""
    return frozenset(_tables)


def changes_at(model: type[models.Model], *fields: str) -> None:
    """Name moments that change pages though nothing is written then: date fields of a model's rows."""
    _dates.extend((model, field) for field in fields if (model, field) not in _dates)


def topics_of(sql: str) -> set[str]:
    """Topics whose pages show what a statement writes."""
    found: set[str] = set()
    if sql[:6].upper() == "SELECT":
        return found
    for verb, table in _WRITES.findall(sql):
        here = _tables.get(table)
        if here is None or (not here.inserts and verb[:1].upper() == "I"):
            continue
        if here.unshown and verb[:1].upper() == "U":
            columns = {c for part in _SET.findall(sql) for c in _COLUMN.findall(part)}
            if columns and columns <= here.unshown:
                continue
        found.add(here.topic)
    return found


def _note(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001  # Django's signature
    """Around each statement: forgets the pages that show what it wrote."""
    result = execute(sql, params, many, context)
    for topic in topics_of(str(sql)):
        forget(topic, using=context["connection"])
    return result


def _listen(sender: Any, connection: Any, **_: Any) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)


def connect() -> None:
    """Notice what is written, in this process; the others do likewise."""
    connection_created.connect(_listen, dispatch_uid="page-cache")


# What is the same for all readers


_REMEMBERED = 512
_remembered: OrderedDict[Hashable, tuple[str, float, Any]] = OrderedDict()
_remembering = threading.Lock()


def remember(
    name: Hashable, make: Callable[[], T], *, worth: Callable[[T], bool] = lambda _: True,
    topic: str = PAGES,
) -> T:  # fmt: skip
    """What every reader is shown alike, made once in this process until something of its topic is
    changed: also readers with a session, whose pages are never kept, need not ask the database for it.
    Whoever gets it leaves it as it is.

    Args:
        name: all that it depends on beside the tables that are watched.
        make: reads it. What it raises is raised, and not remembered.
        worth: whether what it gives is remembered: names that strangers make up should not be.
    """
    renew = _RENEW[topic]
    if any(call is renew for _, call, *_ in default_connection.run_on_commit):
        return make()  # it may show what only this transaction sees
    version = _version(topic)
    if version is None:
        _begin(topic)
        return make()
    found = _remembered.get(name)
    if found is not None and found[0] == version and found[1] > time.time():
        return found[2]  # type: ignore[no-any-return]
    until = min(time.time() + SECONDS, _next_change(version))
    value = make()
    if not worth(value):
        return value
    with _remembering:
        _remembered.pop(name, None)
        _remembered[name] = (version, until, value)
        while len(_remembered) > _REMEMBERED:
            _remembered.popitem(last=False)
    return value


# Keeping and finding


@functools.cache
def release() -> str:
    """What pages are made with beside what is saved: the templates, and the names of static files. After
    an update none of the earlier release's is sent, whose style sheets are gone."""
    made = sha256(getattr(staticfiles_storage, "manifest_hash", "").encode())
    for file in sorted(Path(settings.BASE_DIR, "templates").rglob("*.html")):
        made.update(file.read_bytes())
    return made.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Address:
    """What a kept page is found by."""

    origin: str
    path: str
    fields: dict[str, str]
    as_sent: bool
    """Whether the request named the host in just this form: pages print it in their links."""
    is_part: bool
    """Whether htmx asks for a part of a page."""

    def key(self, *, part: bool = False) -> str:
        """Of the page, or of the part of it that htmx asks for where that is another answer."""
        text = f"{release()} {self.origin}{self.path}?{urlencode(sorted(self.fields.items()))}"
        return f"pages:{'part:' if part else ''}{sha256(text.encode()).hexdigest()}"

    @property
    def keys(self) -> list[str]:
        """Where an answer to the request may be."""
        return [self.key(part=True), self.key()] if self.is_part else [self.key()]


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a page is kept, on which versions it rests, and until when (`time.time()`)."""

    key: str
    versions: dict[str, str]
    until: float
    varies: bool
    """Whether htmx gets another answer there."""

    def answers(self, address: Address, versions: Mapping[str, str | None]) -> bool:
        """Whether it is still what the address would be answered with."""
        return (
            self.until > time.time()
            and all(versions.get(topic) == version for topic, version in self.versions.items())
            and not (self.varies and address.is_part and self.key == address.key())
        )


class PageCache:
    """Middleware; synchronous, as all of them are (see `moondream_site.api.MethodNotAllowed`)."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        address = address_of(request)
        if address is None:
            return self.get_response(request)
        try:
            found = cache.get_many([*map(version_key, TOPICS), *address.keys])
        except RedisError:
            return self.get_response(request)
        versions = {topic: found.get(version_key(topic)) or _begin(topic) for topic in TOPICS}
        for key in address.keys:
            if key not in found:
                continue
            body, headers, *rest = found[key]
            kept = Kept(key, *rest)
            if kept.answers(address, versions):
                _tell(request, kept)
                return _conditional(request, HttpResponse(body, headers=headers))
        response = self.get_response(request)
        made = _kept(request, response, address, versions)
        if made is None:
            return response
        assert isinstance(response, HttpResponse)
        response["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
        response["Cache-Control"] = "public, max-age=0, must-revalidate"
        patch_vary_headers(response, ("Cookie",))
        _tell(request, made)
        # Of plain values alone: another release of this code reads it as well.
        entry = (response.content, dict(response.items()), made.versions, made.until, made.varies)
        with suppress(RedisError):  # then nothing is kept
            cache.set(made.key, entry, max(1, int(made.until - time.time())))
        return _conditional(request, response)


def _tell(request: HttpRequest, kept: Kept) -> None:
    """Let the server know which kept page this is."""
    getattr(request, "scope", {})[KEPT] = kept


def _kept(
    request: HttpRequest, response: HttpResponseBase, address: Address, versions: dict[str, str]
) -> Kept | None:
    """How an answer may be kept; None for not at all."""
    mark = getattr(response, _MARK, None)
    if mark is None or not mark.seconds or mark.fields != address.fields:
        return None
    varies = {part.strip().lower() for part in response.get("Vary", "").split(",")} - {"", "cookie"}
    private = {"private", "no-store"} & set(response.get("Cache-Control", "").split(", "))
    kept = (
        request.method == "GET"
        and address.as_sent
        and response.status_code == 200
        and not (response.streaming or response.cookies or varies - {_PART} or private)
        # A nonce is for one answer.
        and getattr(request, "_csp_nonce", None) is None
    )
    until = min(time.time() + mark.seconds, _next_change(versions[PAGES])) if kept else 0.0
    if until <= time.time():
        return None
    on = {topic: versions[topic] for topic in mark.topics}
    part = bool(varies) and address.is_part
    return Kept(address.key(part=part), on, until, bool(varies))


_moment = ("", 0.0)


def _next_change(version: str) -> float:
    """When pages change by themselves, in seconds as of `time.time()`; endless where they do not. One
    query for each version of what they show, by which dates are changed as well."""
    global _moment
    known, at = _moment
    if known != version or at <= time.time():
        now = timezone.now()
        first, *others = (
            model._base_manager.filter(**{f"{field}__gt": now}).order_by().values_list(Min(field))
            for model, field in _dates
        )
        moments = [moment for (moment,) in first.union(*others) if moment is not None]
        at = min(moments).timestamp() if moments else math.inf
        _moment = version, at
    return at


def address_of(request: HttpRequest) -> Address | None:
    """Where an answer to this request may be found or kept; None where it may not, as one that is
    not the same for every reader without a session."""
    if (
        request.method not in ("GET", "HEAD")
        or request.path.startswith(_NEVER)
        or settings.SESSION_COOKIE_NAME in request.COOKIES
        or any(name in request.headers for name in _PERSONAL)
    ):
        return None
    host, fields = _host(request), _fields(request)
    if host is None or fields is None:
        return None
    as_sent = request.get_host() == host
    return Address(f"{request.scheme}://{host}", request.path, fields, as_sent, wants_part(request))


def wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for what it puts into the page, and not, boosted, for another page. A view
    that answers these otherwise says so in Vary."""
    return bool(request.headers.get("HX-Request")) and not request.headers.get("HX-Boosted")


def _fields(request: HttpRequest) -> dict[str, str] | None:
    """The query's fields in one form: the last of each, without empty ones and the first page's
    number; None if there is another field or a value in another form."""
    fields = {name: str(value) for name, value in request.GET.items() if value}
    if any(name not in _QUERY or not _QUERY[name].fullmatch(v) for name, v in fields.items()):
        return None
    if fields.get("page") == "1":
        del fields["page"]
    return fields


def _host(request: HttpRequest) -> str | None:
    """The request's host in one form: named in full by the settings, on the port this server listens
    on, the scheme's own, or the site's; None for any other, whose pages are not kept."""
    domain, port = split_domain_port(request.get_host())
    site = urlsplit(settings.WAGTAILADMIN_BASE_URL)
    if settings.STATUS_HOST and domain == split_domain_port(settings.STATUS_HOST)[0]:
        return None  # the same paths are something else there
    if domain not in {host.lower() for host in settings.ALLOWED_HOSTS} | {site.hostname}:
        return None
    usual = "443" if request.is_secure() else "80"
    number = str(int(port)) if port else usual
    if number not in (usual, str(request.META.get("SERVER_PORT")), str(site.port)):
        return None
    return domain if number == usual else f"{domain}:{number}"


def _conditional(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
