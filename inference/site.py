"""This site's own address, as mails and programs elsewhere name it."""

from urllib.parse import urlsplit

from django.conf import settings


def url(path: str = "") -> str:
    """ "https://host" with a path of this site; without one it has no slash at the end."""
    return f"{settings.WAGTAILADMIN_BASE_URL.rstrip('/')}{path}"


def host() -> str:
    """What stands in it after "https://"."""
    return urlsplit(url()).netloc
