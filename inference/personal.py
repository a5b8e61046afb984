"""What the site keeps of a person: each room says here what it has, how it is handed out, and what becomes
of it when the person's account is erased.

A room adds a `PersonalData` in its `personal.py`. Every relation to an account has a rule in one of them
(`tests/accounts/test_personal.py` looks through all tables).
"""

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import IO, Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Replace

from inference.spreadsheets import cell

User = Any
FORMER = "a former account"
"""What texts of a log say instead of a person."""


class Rule(StrEnum):
    """What becomes of a row that names a person when the account is erased."""

    DELETE = "delete"
    """The row goes."""
    DETACH = "detach"
    """The row stays, and names nobody."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What has to be done before an account can be deleted."""

    text: str
    path: str = ""
    """Of the page on which it is done."""
    is_lasting: bool = False
    """It also stands in the way when the account's time is over; of others the site finds a way by then."""


class Archive:
    """A person's data as files in a zip: JSON, CSV, and images as they are stored."""

    def __init__(self, target: IO[bytes]) -> None:
        # What a zip needs to be read is written behind each file: the target need not be seekable.
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)
        self.names: list[str] = []

    def close(self) -> None:
        self._zip.close()

    def json(self, name: str, value: Any) -> None:
        """A document; moments in ISO 8601."""
        text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
        self._write(f"{name}.json", text.encode())

    def csv(self, name: str, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """A table, written row by row; no cell is a formula of a spreadsheet."""
        self.names.append(f"{name}.csv")
        with self._zip.open(f"{name}.csv", "w", force_zip64=True) as binary:
            out = _Lines(binary)
            writer = csv.writer(out)
            writer.writerow(list(heads))
            for row in rows:
                writer.writerow([cell(_plain(value)) for value in row])

    def file(self, name: str, content: bytes) -> None:
        """A file as it is; images are compressed already."""
        self._write(name, content, zipfile.ZIP_STORED)

    def stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """A file too large to be held, piece by piece."""
        self.names.append(name)
        with self._zip.open(name, "w", force_zip64=True) as target:
            for piece in pieces:
                target.write(piece)

    def _write(self, name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
        self.names.append(name)
        self._zip.writestr(name, content, how)


class _Lines:
    """Text to a binary file, as csv writes it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target

    def write(self, text: str) -> int:
        return self._target.write(text.encode())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None | list | dict) else str(value)


def rows_of(queryset: Any, *names: str) -> list[dict[str, Any]]:
    """Rows as they are written into an archive: these columns, in the order of their keys."""
    return list(queryset.order_by("pk").values(*names))


class PersonalData:
    """What one room keeps of people. All methods may be called again for the same person."""

    title: ClassVar[str]
    """As in "Playground", for the page that shows how far an archive is."""
    rules: ClassVar[Mapping[str, Rule]] = {}
    """By "app.Model.field": every relation to an account that the room has."""

    def export(self, user: User, archive: Archive) -> None:
        """Write all that there is of the person, without secrets and without other people."""

    def obstacles(self, user: User) -> list[Obstacle]:
        """What the person has to do before the account can be deleted."""
        return []

    def deleted(self, user: User) -> list[str]:
        """What would be deleted, in words."""
        return []

    def kept(self, user: User) -> list[str]:
        """What would be kept without the person, in words, and why."""
        return []

    def stop(self, user: User) -> None:
        """Deletion is asked for: end at once what acts or works for the person."""

    def erase(self, user: User) -> None:
        """Delete for good, or take the person out of what is kept. The account itself is still there."""


_rooms: list[PersonalData] = []


def register(room: PersonalData) -> None:
    """Add a room's; who imports others is registered before them, and erased first."""
    if not any(type(known) is type(room) for known in _rooms):
        _rooms.append(room)


def rooms() -> list[PersonalData]:
    """All of them, the highest room first."""
    return list(_rooms)


def export(user: User, target: IO[bytes], tell: Callable[[str, int, int], None]) -> list[str]:
    """Write a person's archive.

    Args:
        tell: called before each room with its title, how many are done, and how many there are.

    Returns:
        The files' names.
    """
    archive = Archive(target)
    found = rooms()
    for number, room in enumerate(found):
        tell(room.title, number, len(found))
        room.export(user, archive)
    archive.close()
    return archive.names


def counted(*counts: tuple[int, str, str]) -> list[str]:
    """What there is, in words: (3, "session", "sessions") is "3 sessions"; nothing of what there is none of."""
    return [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]


def names_of(user: Any) -> list[str]:
    """What texts call an account by, the longest first."""
    addresses = user.emailaddress_set.values_list("email", flat=True)
    found = {user.email, user.username, user.get_full_name(), *addresses}
    # A name of a letter or two is in every other word.
    return sorted((name for name in found if name and len(name) > 2), key=len, reverse=True)


def forget_in(model: type[models.Model], field: str, name: str) -> None:
    """Write something else for a person's name in texts of a log, where it is by itself the text or an
    address."""
    found = Q(**{field: name})
    if "@" in name:
        found |= Q(**{f"{field}__contains": name})
    model._default_manager.filter(found).update(
        **{field: Replace(field, Value(name), Value(FORMER))}
    )
