"""Where another server is, and with which key it is asked."""

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

MOST_ADDRESS = 200
MOST_KEY = 512


@dataclass(frozen=True, slots=True)
class Link:
    """One server and one of its models."""

    address: str
    """As `address_read` gives it, without a slash at the end."""
    key: str = field(default="", repr=False)
    model: str = ""
    """As the server names it; empty for its own choice."""
    pinned: str = ""
    """The one revision it may have; empty for any."""


def address_read(text: str) -> str:
    """The base of an API, as in http://localhost:2020/v1.

    Raises:
        ValueError: it is none that may be asked, and why.
    """
    address = text.strip().rstrip("/")
    if len(address) > MOST_ADDRESS or not address.isprintable() or " " in address:
        raise ValueError("This is no address.")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ValueError("This is no address.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(
            "Begin with http:// or https://, then the host, as in http://localhost:2020/v1."
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("Write the key in its own field, not in the address.")
    if parts.query or parts.fragment or "?" in address or "#" in address:
        raise ValueError("The address has no ? and no #.")
    if _place(address) == _place(settings.WAGTAILADMIN_BASE_URL):
        raise ValueError("That is this site itself.")
    return address


def key_read(text: str) -> str:
    """
    Raises:
        ValueError: it cannot be sent in a header.
    """
    key = text.strip()
    if len(key) > MOST_KEY or not key.isascii() or not key.isprintable():
        raise ValueError(f"A key has up to {MOST_KEY} printable ASCII characters.")
    return key


def _place(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    usual = 443 if parts.scheme == "https" else 80
    return (parts.hostname or "").lower(), parts.port or usual


def is_near(address: str) -> bool:
    """Whether a server is on this machine or network, and is asked without a proxy.

    Raises:
        OSError: its name leads nowhere, or where no server of models is: to a network's own services (a
            cloud's metadata are at such an address), or to many.
    """
    host, port = _place(address)
    found = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    reached = [ipaddress.ip_address(str(one).partition("%")[0]) for one in found]
    for one in reached:
        bare = getattr(one, "ipv4_mapped", None) or one
        if bare.is_link_local or bare.is_multicast or bare.is_unspecified:
            raise OSError(f"{host} is no place of a server")
    return all(one.is_private for one in reached)
