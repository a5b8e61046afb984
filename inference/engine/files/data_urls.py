"""Base64 data URLs, as browsers and clients write them."""

import base64
import binascii
import re

from inference.engine.files import UnreadableError

_DATA_URL = re.compile(r"\s*data:[^,]*;\s*base64\s*,", re.IGNORECASE)
_SPELLED = {
    "%20": "", "%09": "", "%0A": "", "%0C": "", "%0D": "",
    "%2B": "+", "%2D": "+", "%2F": "/", "%5F": "/", "%3D": "=",
}  # fmt: skip
"""How base64 is spelt where an address has been escaped."""
_PLAIN = str.maketrans("-_", "+/", " \t\n\f\r")


class RemoteUrlError(UnreadableError):
    """An address of another server, which is never fetched."""


class NoDataUrlError(UnreadableError):
    """No base64 data URL."""


class BadBase64Error(UnreadableError):
    """Its base64 is broken."""


class TooLongError(UnreadableError):
    """It holds more bytes than it may."""


def decode(url: str, *, most: int) -> bytes:
    """The bytes of a base64 data URL; how many is told from its length before they are made.

    Raises:
        RemoteUrlError, NoDataUrlError, BadBase64Error, TooLongError.
    """
    if url[:200].strip().lower().startswith(("http://", "https://")):
        raise RemoteUrlError("remote image URLs are not fetched")
    match = _DATA_URL.match(url[:200])
    if match is None:
        raise NoDataUrlError("is no base64 data URL")
    return _base64_bytes(url[match.end() :], most)


def _base64_bytes(encoded: str, most: int) -> bytes:
    """As forgiving as the WHATWG's "forgiving-base64 decode", for the alphabet of URLs (RFC 4648, 5)
    and for escaped characters as well: blanks mean nothing, and the padding may be left out."""
    if "%" in encoded:
        for spelled, plain in _SPELLED.items():
            encoded = encoded.replace(spelled, plain).replace(spelled.lower(), plain)
    if not encoded.isascii():
        raise BadBase64Error("its base64 is broken")
    encoded = encoded.translate(_PLAIN)
    if len(encoded) * 3 // 4 > most:
        raise TooLongError(f"is larger than {most >> 20} MB")
    encoded = encoded.removesuffix("=").removesuffix("=")
    if "=" in encoded:
        raise BadBase64Error("its base64 is broken")
    encoded += "=" * (-len(encoded) % 4)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise BadBase64Error("its base64 is broken") from error
