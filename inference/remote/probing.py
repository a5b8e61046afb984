"""What another server can do, found without a question that costs anything."""

from dataclasses import dataclass, field
from typing import Any

from inference import errors
from inference.errors import DomainError
from inference.models import Skill
from inference.remote.asking import read_json, reply
from inference.remote.link import Link

MOST_NAME = 80
"""Characters of names and revisions."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a server says of itself."""

    lacks: list[str] = field(default_factory=list)
    """Skills without an address."""
    model: str = ""
    """Which model answers, as the server names it; empty where it does not tell."""
    revision: str = ""
    """Its revision; empty where the server does not tell."""
    parameters: int | None = None
    weight_bytes: int | None = None
    world: str = ""
    """What it knows, in the server's words."""


def probe(link: Link) -> Probed:
    """Ask a server which model it has, and which skills: an empty question is refused by each that is
    there, and not found where there is none.

    Raises:
        DomainError: it cannot be reached, does not take the key, is no server of this API, has no such
            model, or has another revision than the pinned one.
    """
    told = model_told(link)
    lacks = [skill.value for skill in Skill if not _has(link, skill)]
    if len(lacks) == len(Skill):
        raise errors.REMOTE_REFUSED(
            "No skill is found there.", hint="The address ends where /caption and /query begin, often in /v1."
        )  # fmt: skip
    return Probed(lacks, **told)


def model_told(link: Link) -> dict[str, Any]:
    """The model that a hub has for the link, by the fields of `Probed`; empty of other servers.

    Raises:
        DomainError: as `probe`.
    """
    row = _row(link)
    if row is None:
        return {}
    revision = _text(row.get("revision"))
    if link.pinned and revision != link.pinned:
        raise errors.REMOTE_REVISION(
            f"The other server has revision {revision or 'unknown'!r}, and {link.pinned!r} is pinned."
        )
    return {
        "model": _text(row.get("slug")), "revision": revision, "world": _text(row.get("world"), 2000),
        "parameters": _count(row.get("parameters")), "weight_bytes": _count(row.get("weight_bytes")),
    }  # fmt: skip


def _row(link: Link) -> dict[str, Any] | None:
    """What a hub says of the model; None where there is no such list."""
    with reply(link, "GET", "/variants") as response:
        if response.status_code in (401, 403):
            raise errors.REMOTE_UNAUTHORISED()
        if response.status_code != 200:
            return None
        try:
            found = read_json(response)
        except DomainError:
            return None
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    if not any("slug" in row for row in rows):
        return None
    for row in rows:
        if row.get("slug") == link.model if link.model else row.get("default") is True:
            if row.get("precision") == "remote":
                raise errors.REMOTE_REFUSED("That model is itself another server's.")
            return row
    known = ", ".join(_text(row.get("slug")) for row in rows[:12])
    raise errors.REMOTE_REFUSED(f"The other server has no model {link.model!r}.", hint=f"It has: {known}.")  # fmt: skip


def _has(link: Link, skill: Skill) -> bool:
    with reply(link, "POST", f"/{skill.value}", {}) as response:
        if response.status_code in (401, 403):
            raise errors.REMOTE_UNAUTHORISED()
        if 300 <= response.status_code < 400:
            raise errors.REMOTE_FAULT(
                "The other server sends questions elsewhere; that is not followed."
            )
        return response.status_code not in (404, 405, 410, 501)


def _text(value: Any, most: int = MOST_NAME) -> str:
    """A text of a stranger's, printable and short."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else " " for c in text)[:most].strip()


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None
