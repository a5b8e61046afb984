"""What is attached to applications for research credits, and what came of the grants."""

import uuid
from pathlib import PurePath
from typing import IO, Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.utils.text import get_valid_filename

from inference.storage import private_drop
from pricing import errors
from pricing.models import CreditApplication, CreditAttachment, CreditOutcome

MOST_FILES = 5
MOST_BYTES = 10 * 2**20
MOST_OUTCOMES = 50
_TEXT = ("text/plain", "text/markdown")
_KINDS: dict[str, tuple[str, bytes]] = {
    ".pdf": ("application/pdf", b"%PDF-"),
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff"),
    ".jpeg": ("image/jpeg", b"\xff\xd8\xff"),
    ".txt": (_TEXT[0], b""),
    ".md": (_TEXT[1], b""),
}
"""By the end of the name: the media type, and how such a file begins."""
ACCEPTED = "PDF, PNG, JPEG, TXT or MD"


def attachment_add(
    *, application: CreditApplication, file: IO[bytes], name: str
) -> CreditAttachment:
    """Keep a file with an application that its applicant may still change.

    Raises:
        Conflict: it was sent in.
        InvalidInput: too many, too large, empty, or not of a kind that is taken.
    """
    data = file.read(MOST_BYTES + 1)
    media_type = _media_type(name, data)
    with transaction.atomic():
        found = CreditApplication.objects.select_for_update().get(pk=application.pk)
        if not found.is_editable:
            raise errors.APPLICATION_STATE("It has been sent in.")
        if found.attachments.count() >= MOST_FILES:
            raise errors.BAD_ATTACHMENT(f"At most {MOST_FILES} files.", field="file")
        stored = storages["private"].save(f"credits/{found.pk}/{uuid.uuid4()}", ContentFile(data))
        return CreditAttachment.objects.create(
            application=found, name=_safe_name(name), media_type=media_type, size=len(data), file=stored
        )  # fmt: skip


def _media_type(name: str, data: bytes) -> str:
    kind = _KINDS.get(PurePath(name).suffix.lower())
    if kind is None:
        raise errors.BAD_ATTACHMENT(f"Attach {ACCEPTED}.", field="file")
    if not data:
        raise errors.BAD_ATTACHMENT("The file is empty.", field="file")
    if len(data) > MOST_BYTES:
        raise errors.BAD_ATTACHMENT(f"At most {MOST_BYTES >> 20} MB.", field="file")
    media_type, begins = kind
    if not data.startswith(begins) or (media_type in _TEXT and not _is_text(data)):
        raise errors.BAD_ATTACHMENT("The file is not what its name says.", field="file")
    return media_type


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _safe_name(name: str) -> str:
    """The name without folders or characters that a header or a disk would mind, its end kept."""
    path = PurePath(name.replace("\\", "/"))
    stem = get_valid_filename(path.stem or "file")[:100]
    return f"{stem}{path.suffix.lower()}"


def attachment_remove(*, application: CreditApplication, attachment_id: int) -> None:
    """Take a file back before the application is decided on.

    Raises:
        Conflict: it was sent in.
    """
    with transaction.atomic():
        found = CreditApplication.objects.select_for_update().get(pk=application.pk)
        if not found.is_editable:
            raise errors.APPLICATION_STATE("It has been sent in.")
        found.attachments.filter(pk=attachment_id).delete()


def attachment_read(*, attachment: CreditAttachment) -> bytes:
    """
    Raises:
        NotFound: the file is not there any more.
    """
    try:
        with storages["private"].open(attachment.file) as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise errors.ATTACHMENT_NOT_FOUND() from error
    return data


def outcome_add(
    *, application: CreditApplication, kind: str, title: str, url: str
) -> CreditOutcome:
    """Note something that came of a grant.

    Raises:
        Conflict: the application was not approved, or names this address already.
        InvalidInput: there are too many.
    """
    found = CreditApplication.objects.get(pk=application.pk)
    if found.state != CreditApplication.State.APPROVED:
        raise errors.APPLICATION_STATE("Only an approved application is reported on.")
    if found.outcomes.count() >= MOST_OUTCOMES:
        raise errors.APPLICATION_INCOMPLETE(f"At most {MOST_OUTCOMES}.", field="url")
    try:
        with transaction.atomic():
            return CreditOutcome.objects.create(application=found, kind=kind, title=title, url=url)
    except IntegrityError as error:
        raise errors.APPLICATION_STATE("This address is there already.", field="url") from error


def outcome_remove(*, application: CreditApplication, outcome_id: int) -> None:
    """Take one back that was noted by mistake."""
    CreditOutcome.objects.filter(application=application, pk=outcome_id).delete()


def attachment_gone(*, instance: Any, **_: Any) -> None:
    """The row is deleted, by whatever way: its file goes when that is certain."""
    transaction.on_commit(lambda: private_drop(instance.file))
