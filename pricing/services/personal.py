"""Handing a person's data out, and deleting an account for good."""

import contextlib
import logging
import secrets
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import redis
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import File
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from inference import errors as inference_errors
from inference import lease, personal, sealing
from inference.errors import DomainError
from inference.messages import send_on_commit
from inference.storage import private_drop
from pricing import errors, mails
from pricing.models import AccountDeletion, DataExport

logger = logging.getLogger(__name__)
TRIES = 3
_QUIET = timedelta(seconds=60)
"""What waits so long, or says nothing for so long, has lost its message or its worker."""
State = DataExport.State


# An archive of one's data.


def export_request(*, user: Any) -> DataExport:
    """Have an archive made. An earlier one is deleted: there is one at most.

    Raises:
        Conflict: one is being made.
        Busy: the broker is away.
    """
    try:
        with transaction.atomic():
            get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
            made = DataExport.objects.create(user=user)
            for earlier in DataExport.objects.filter(user=user).exclude(pk=made.pk):
                _export_drop(earlier)
            _export_send(made)
    except IntegrityError:
        raise errors.EXPORT_UNDER_WAY() from None
    return made


def _export_send(export: DataExport) -> None:
    from pricing.tasks import data_export_make

    def lost(error: Exception) -> None:  # `personal_care` sends it again
        logger.warning("Export %s waits for the broker: %s", export.pk, error)

    send_on_commit(data_export_make, export.pk, lost=lost)


def export_make(*, export_id: int) -> None:
    """Make an archive; safe to deliver more than once. A worker that was lost is followed by another."""
    with contextlib.ExitStack() as held:
        mine = lease.leased(held, _lease_name(export_id), wait_s=0)
        if mine is None:
            return
        held.enter_context(lease.renewed([mine]))
        claimed = DataExport.objects.filter(pk=export_id, state__in=DataExport.OPEN)
        if not claimed.update(
            state=State.RUNNING, attempt=F("attempt") + 1, advanced_at=timezone.now()
        ):
            return
        export = DataExport.objects.select_related("user").get(pk=export_id)
        if export.attempt > TRIES:
            _export_end(export, State.FAILED)
            return
        try:
            _export_write(export)
        except (DomainError, OSError) as error:  # the storage: it may be there the next time
            logger.warning("Export %s could not be made: %s", export.pk, error)
            if export.attempt >= TRIES:
                _export_end(export, State.FAILED)
        except Exception:
            _export_end(export, State.FAILED)
            raise


def _lease_name(export_id: int) -> str:
    return f"data-export-{export_id}"


def _export_write(export: DataExport) -> None:
    def tell(step: str, done: int, steps: int) -> None:
        DataExport.objects.filter(pk=export.pk).update(
            step=step, done=done, steps=steps, advanced_at=timezone.now()
        )

    key = sealing.new_file_key()
    name = f"exports/{secrets.token_hex(16)}"
    with tempfile.TemporaryFile() as made:
        sealed = sealing.SealedWriter(made, key)
        counter = _Counted(sealed)
        names = personal.export(export.user, counter, tell)  # type: ignore[arg-type]
        sealed.close()
        made.seek(0)
        stored = storages["private"].save(name, File(made, name=name))
    now = timezone.now()
    ready = DataExport.objects.filter(pk=export.pk, state=State.RUNNING).update(
        state=State.READY, step="", done=F("steps"), file=stored, sealed_key=sealing.seal_key(key),
        size_bytes=counter.size, files=len(names), finished_at=now,
        expires_at=now + timedelta(days=settings.DATA_EXPORT_DAYS),
    )  # fmt: skip
    if not ready:  # the account went meanwhile
        private_drop(stored)
        return
    mails.send_to(
        export.user, mails.EXPORT_READY, reverse("data_export"), days=str(settings.DATA_EXPORT_DAYS)
    )


class _Counted:
    """Counts what is written. It cannot be told where it stands, so that a zip is written straight on."""

    def __init__(self, target: sealing.SealedWriter) -> None:
        self._target = target
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return self._target.write(bytes(data))

    def flush(self) -> None:
        pass


def _export_end(export: DataExport, state: str) -> None:
    DataExport.objects.filter(pk=export.pk).update(state=state, finished_at=timezone.now())
    if state == State.FAILED:
        mails.send_to(export.user, mails.EXPORT_FAILED, reverse("data_export"))


def export_open(*, user: Any, export_id: int) -> tuple[DataExport, Iterator[bytes]]:
    """A person's own archive, and its bytes.

    Raises:
        NotFound: there is none of theirs, or its time is over.
        Busy: the storage is away.
    """
    found = DataExport.objects.filter(user=user, pk=export_id).first()
    if found is None or not found.is_ready:
        raise errors.EXPORT_NOT_FOUND()
    try:
        source = storages["private"].open(found.file)
    except FileNotFoundError:
        raise errors.EXPORT_NOT_FOUND() from None
    return found, _pieces(source, found.sealed_key)


def _pieces(source: Any, sealed_key: str) -> Iterator[bytes]:
    with source:
        yield from sealing.unsealed(source, sealed_key)


def _export_drop(export: DataExport) -> None:
    """Delete an archive. Its key goes with the row's: what is left of the file opens for nobody."""
    name, state = export.file, export.state
    fields: dict[str, Any] = {"file": "", "sealed_key": ""}
    if state == State.READY:
        fields["state"] = State.EXPIRED
    DataExport.objects.filter(pk=export.pk).update(**fields)
    if name:
        transaction.on_commit(lambda: private_drop(name))


def exports_care() -> None:
    """Send again what was lost, and delete what is past its time."""
    now = timezone.now()
    for old in DataExport.objects.filter(state=State.READY, expires_at__lte=now):
        _export_drop(old)
    quiet = DataExport.objects.filter(state__in=DataExport.OPEN, advanced_at__lt=now - _QUIET)
    for export in quiet:
        with contextlib.suppress(redis.exceptions.RedisError):
            if not lease.is_held(_lease_name(export.pk)):
                DataExport.objects.filter(pk=export.pk).update(advanced_at=now)
                _export_send(export)


# Deleting an account.


def deletion_obstacles(user: Any) -> list[personal.Obstacle]:
    """What the person has to do before; from all rooms."""
    return [found for room in personal.rooms() for found in room.obstacles(user)]


def deletion_request(*, user: Any, typed: str, keep_session: str = "") -> AccountDeletion:
    """Have an account deleted once its time to think is over. Keys end and work stops at once; other browsers
    are signed out. Asked again, nothing changes.

    Args:
        typed: the account's address (its name where it has none), to confirm.
        keep_session: the key of the session that asks: it stays, to undo it.

    Raises:
        InvalidInput: something else was typed.
        Conflict: something has to be done before.
        Busy: something runs, and its worker cannot be told; nothing is changed.
    """
    if typed.strip().casefold() != deletion_phrase(user).casefold():
        raise errors.BAD_CONFIRMATION(field="typed")
    if found := deletion_obstacles(user):
        raise errors.DELETION_OBSTACLES(" ".join(one.text for one in found))
    with transaction.atomic():
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
        pending = deletion_pending(user)
        if pending is not None:
            return pending
        made = AccountDeletion.objects.create(
            user=user, due_at=timezone.now() + timedelta(days=settings.ACCOUNT_DELETION_DAYS)
        )
        for session in UserSession.objects.filter(user=user).exclude(session_key=keep_session):
            session.end()
        try:
            for room in personal.rooms():
                room.stop(user)
        except redis.exceptions.RedisError as error:
            raise inference_errors.QUEUE_UNAVAILABLE() from error
        mails.send_to(
            user, mails.DELETION_PLANNED, reverse("account_delete"),
            day=made.due_at.strftime("%-d %B %Y, %H:%M UTC"),
        )  # fmt: skip
    return made


def deletion_phrase(user: Any) -> str:
    """What is typed to confirm."""
    return str(user.email or user.get_username())


def deletion_pending(user: Any) -> AccountDeletion | None:
    """The deletion that is on its way, if one is."""
    open_ = AccountDeletion.objects.filter(user=user, undone_at=None, erased_at=None)
    return open_.first() if user.is_authenticated else None


def deletion_undo(*, user: Any) -> None:
    """Keep the account. Keys that ended stay so. Safe to repeat.

    Raises:
        Conflict: it is being erased.
    """
    waiting = AccountDeletion.objects.filter(user=user, undone_at=None, erased_at=None)
    if not waiting.filter(started_at=None).update(undone_at=timezone.now()) and waiting.exists():
        raise errors.DELETION_BEGUN()


def account_erase(*, deletion_id: int) -> bool:
    """Erase an account whose time is over, room by room; whether it is gone. What failed half way is gone on
    with the next time; two workers never do it together.

    Raises:
        Busy: the storage is away.
        RedisError: something of the person is worked on, and its worker cannot be told.
    """
    with contextlib.ExitStack() as held:
        mine = lease.leased(held, f"account-erase-{deletion_id}", wait_s=0)
        if mine is None:
            return False
        held.enter_context(lease.renewed([mine]))
        return _erased(deletion_id)


def _erased(deletion_id: int) -> bool:
    due = AccountDeletion.objects.filter(
        pk=deletion_id, undone_at=None, erased_at=None, due_at__lte=timezone.now()
    )
    with transaction.atomic():
        deletion = due.select_for_update(of=("self",)).select_related("user").first()
        if deletion is None:
            return False
        user = deletion.user
        if user is not None:
            lasting = [found.text for found in deletion_obstacles(user) if found.is_lasting]
            if deletion.started_at is None and lasting:
                logger.warning("Account %s waits for its deletion: %s", user.pk, lasting[0])
                return False
            # From here on nobody signs in, and no undoing.
            get_user_model().objects.filter(pk=user.pk).update(is_active=False)
            due.filter(started_at=None).update(started_at=timezone.now())
    if user is not None:
        address = user.email
        for room in personal.rooms():
            room.erase(user)
        for export in DataExport.objects.filter(user=user):
            _export_drop(export)
        with transaction.atomic():
            user.delete()
            due.update(erased_at=timezone.now())
            if address:
                values = mails.ACCOUNT_DELETED.site_values()
                transaction.on_commit(lambda: mails.send(mails.ACCOUNT_DELETED, [address], values))
    else:  # somebody deleted the row by hand
        due.update(erased_at=timezone.now())
    return True


def deletions_due() -> list[int]:
    """Accounts whose time is over."""
    due = AccountDeletion.objects.filter(undone_at=None, erased_at=None, due_at__lte=timezone.now())
    return list(due.values_list("pk", flat=True))
