"""Every cell of the table, asked for real: each request in a transaction that is taken back."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from tests.authorisation.addresses import addresses, filled, is_admin, is_api, is_library
from tests.authorisation.cases import Case, cases, defaults, fill_for
from tests.authorisation.scene import ACTORS, PEOPLE, Scene

READING = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_MAY_WRITE = ("django_session", "auth_user", "pricing_apikey", "wagtailusers_userprofile",
              "wagtailadmin_editingsession", "wagtailimages_rendition")  # fmt: skip
"""What reading may change: the session, when somebody or a key was last here, what Wagtail keeps of who
is editing what, and of an editor's taste, and a picture in the size that a page is the first to want."""
SECTIONS = ("v1/", "api/", "account/", "leaderboards/", "admin/", "")
"""Beginnings of addresses, asked in a test each; the last takes the rest."""


@dataclass
class Found:
    """What all requests came to."""

    rows: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Answers of 500, and reading that wrote."""
    secrets: dict[str, set[str]] = field(default_factory=dict)
    """By request: which secrets were in its answer."""


def section_of(address: str) -> str:
    return next(section for section in SECTIONS if address.startswith(section))


def who_asks(address: str, method: str, case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who asks first, and who else where these are not all answered alike: what strangers, owners and
    admins get alike, nobody gets more or less of. Of a library's pages on the admin's side only those ask
    who must not get in, but for the cases that are ours."""
    if is_library(address) and not case.name:
        return ("anonymous", "owner"), ()
    if is_admin(address):
        return ("anonymous", "owner", "editor", "moderator", "admin"), ()
    first: tuple[str, ...] = ("anonymous", "owner", "other", "admin", "submit")
    if is_api(address):
        first = (*first, "revoked")
    if method not in ("GET", "POST") and method not in case.bodies:
        return first, ()
    return first, tuple(a for a in (ACTORS if is_api(address) else PEOPLE) if a not in first)


def ask_all(scene: Scene, section: str) -> Found:
    """Ask every address of a section in each of its cases."""
    found, own, values = Found(), cases(scene), defaults(scene)
    cookies = {name: copy.deepcopy(client.cookies) for name, client in scene.clients.items()}
    for address in addresses():
        if section_of(address) != section:
            continue
        for case in own.get(address, [Case()]):
            name = f"{address} [{case.name}]" if case.name else address or "/"
            path = filled(address, fill_for(address, case, values))
            rows = found.rows[name] = {}
            for method in ("GET", "POST") if is_admin(address) else METHODS:
                row = dict.fromkeys(ACTORS, "-")
                for asking in who_asks(address, method, case):
                    if len(set(row.values())) == 2:  # all alike
                        break
                    for actor in asking:
                        scene.clients[actor].cookies = copy.deepcopy(cookies[actor])
                        row[actor] = _ask(scene, found, name, path, method, actor, case)
                rows[method] = tuple(row.values())
    return found


def _ask(
    scene: Scene, found: Found, name: str, path: str, method: str, actor: str, case: Case
) -> str:
    more: dict[str, Any] = case.bodies[method]() if method in case.bodies else {}
    if method not in READING and "data" not in more:
        more = (
            {"data": {}} if method == "POST" else {"data": {}, "content_type": "application/json"}
        )
    with transaction.atomic():
        with _writes() as written:
            answer = getattr(scene.clients[actor], method.lower())(
                path, query_params=dict(case.query), headers=scene.headers.get(actor, {}), **more
            )
            body = _body(answer)
        transaction.set_rollback(True)
    who = f"{method} {name} as {actor}"
    if answer.status_code >= 500:
        error = getattr(answer, "exc_info", None) or (None, body[:200])
        found.faults.append(f"{who}: {answer.status_code} {error[1]!r}")
    if method in READING and written:
        found.faults.append(f"{who} writes: {sorted(set(written))}")
    seen = {word for word, text in scene.secrets.items() if text.encode() in body}
    if seen:
        found.secrets[who] = seen
    return _outcome(answer) + ("*" if seen else "")


def _outcome(answer: Any) -> str:
    if answer.status_code not in (301, 302, 303, 307, 308):
        return str(answer.status_code)
    to = answer["Location"]
    if to.startswith(("/account/login/", "/_util/login/")):
        return "login"
    return "admin" if to.startswith("/admin/login/") else "to"


def _body(answer: Any) -> bytes:
    if not answer.streaming:
        return bytes(answer.content)
    if answer.get("Content-Type", "").startswith("text/event-stream") or answer.is_async:
        return b""
    return b"".join(answer.streaming_content)


@contextmanager
def _writes() -> Iterator[list[str]]:
    """The statements that change a table, but for those that reading may change."""
    written: list[str] = []

    def note(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        words = str(sql).split()
        if words[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            named = next((word for word in words if word.startswith('"')), f'"{words[1]}"')
            table = named.split('"')[1]
            if table not in _MAY_WRITE:
                written.append(f"{words[0]} {table}")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield written
