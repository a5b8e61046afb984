"""For a public site: refuses to start half configured."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from moondream_site.settings.base import *  # noqa: F403
from moondream_site.settings.base import (
    REFERENCES_KEY,
    REFERENCES_KEYS,
    SECRET_KEY,
    STATUS_HOST,
    WAGTAILADMIN_BASE_URL,
    env,
)

if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("Set SECRET_KEY to a random string of at least 50 characters.")
_keys = [entry.partition(":")[2] for entry in REFERENCES_KEYS] or [REFERENCES_KEY]
if any(len(key) < 40 or key == SECRET_KEY for key in _keys):
    raise ImproperlyConfigured(
        "Set REFERENCES_KEY to a random string of its own of at least 40 characters: hidden "
        "references are sealed with it. What SECRET_KEY sealed before still opens; run "
        "`manage.py benchmarks reseal` then."
    )

if STATUS_HOST and urlsplit(WAGTAILADMIN_BASE_URL).hostname == STATUS_HOST.partition(":")[0]:
    raise ImproperlyConfigured("STATUS_HOST is a host of its own: SITE_URL names another.")

DEBUG = False
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Health probes and the API's clients speak to the process behind the proxy.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
# Wagtail's editor previews pages in a frame of the same site.
SILENCED_SYSTEM_CHECKS = ["security.W019"]
