"""Other servers whose models are variants here."""

import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from inference import errors
from inference.errors import DomainError
from inference.models import RemoteServer, Variant
from inference.remote import Link, Probed, address_read, probe
from inference.remote.link import key_read
from inference.sealing import seal, unseal

logger = logging.getLogger(__name__)
FROM_SETTINGS = "Remote server"
"""The name of the one that the settings name."""
_WORLD = "Answers on another server: the image leaves this one for it."


def remote_link(*, server: RemoteServer) -> Link:
    """How a server is asked.

    Raises:
        DomainError: its key was sealed under another SECRET_KEY.
    """
    key = unseal(server.sealed_key)
    if key is None:
        raise errors.REMOTE_UNAUTHORISED("The key of this server has to be entered again.")
    asked = server.model or (server.variant.model_name if server.variant else "")
    return Link(server.address, key, asked, server.pinned)


def link_of_variant(variant: Variant) -> Link:
    """How a variant of the backend "remote" is asked.

    Raises:
        DomainError: its server was taken away, or its key cannot be opened.
    """
    server = RemoteServer.objects.filter(variant=variant.pk).select_related("variant").first()
    if server is None:
        raise errors.REMOTE_UNREACHABLE("The server of this model was taken away.")
    return remote_link(server=server)


def link_read(*, address: str, key: str, model: str = "", pinned: str = "") -> Link:
    """What somebody wrote, as a link.

    Raises:
        InvalidInput: the address or the key is none.
    """
    try:
        where = address_read(address)
    except ValueError as error:
        raise errors.BAD_REMOTE(str(error), field="address") from error
    try:
        return Link(where, key_read(key), model.strip(), pinned.strip())
    except ValueError as error:
        raise errors.BAD_REMOTE(str(error), field="key") from error


@transaction.atomic
def remote_save(*, server: RemoteServer, link: Link, found: Probed) -> Variant:
    """Keep a server and make its variant, or bring both to what was found there. The default stays who
    it is.

    Args:
        server: new, or one that is there; its name is set.
        found: what `probe` gave.
    """
    fields: dict[str, Any] = {
        "name": server.name, "model_name": found.model or link.model, "backend": "remote", "folder": "",
        "revision": found.revision or link.pinned or "not told", "source": link.address,
        "world": " ".join(filter(None, (found.world, _WORLD))), "lacks": found.lacks,
        "parameters": found.parameters, "weight_bytes": found.weight_bytes,
    }  # fmt: skip
    if server.variant is None:
        server.variant = Variant.objects.create(slug=_free_slug(server.name), **fields)
    else:
        Variant.objects.filter(pk=server.variant.pk).update(**fields)
        server.variant.refresh_from_db()
    server.address, server.model, server.pinned = link.address, link.model, link.pinned
    server.sealed_key = seal(link.key)
    server.checked_at = timezone.now()
    server.save()
    return server.variant


def remote_check(*, server: RemoteServer) -> Variant:
    """Look at a server again: which model and revision it has, and what it can do.

    Raises:
        DomainError: as `probe`.
    """
    link = remote_link(server=server)
    return remote_save(server=server, link=Link(link.address, link.key, server.model, link.pinned), found=probe(link))  # fmt: skip


@transaction.atomic
def remote_remove(*, server: RemoteServer) -> None:
    """Take a server away, with its key. Its variant goes too, or, where answers of it are kept, is not
    asked any more.

    Raises:
        Conflict: it is the default.
    """
    variant = server.variant
    if variant is not None and variant.is_default:
        raise errors.BAD_REMOTE("It is the default: make another one the default first.")
    RemoteServer.objects.filter(pk=server.pk).delete()
    if variant is None:
        return
    if variant.jobs.exists():
        variant.enabled = False
        variant.save(update_fields=["enabled"])
    else:
        Variant.objects.filter(pk=variant.pk).delete()


def remotes_sync() -> None:
    """Bring the server that the settings name to what they say; whether it is there now does not matter."""
    server = RemoteServer.objects.filter(name=FROM_SETTINGS).select_related("variant").first()
    if not settings.INFERENCE_REMOTE_URL:
        if server is not None and server.variant is not None:
            Variant.objects.filter(pk=server.variant.pk, is_default=False).update(enabled=False)
        return
    link = link_read(
        address=settings.INFERENCE_REMOTE_URL, key=settings.INFERENCE_REMOTE_KEY,
        model=settings.INFERENCE_REMOTE_MODEL, pinned=settings.INFERENCE_REMOTE_REVISION,
    )  # fmt: skip
    try:
        found = probe(link)
    except DomainError as error:
        logger.warning("The remote server was not reached: %s", error.message)
        found = Probed()
    variant = remote_save(server=server or RemoteServer(name=FROM_SETTINGS), link=link, found=found)
    Variant.objects.filter(pk=variant.pk).update(enabled=True)


def _free_slug(name: str) -> str:
    base = slugify(name)[:60] or "remote"
    taken = set(Variant.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(s for s in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if s not in taken)  # fmt: skip
