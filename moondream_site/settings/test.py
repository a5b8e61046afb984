"""For pytest: fast hashing, plain static files, everything else as in production."""

from moondream_site.settings.base import *  # noqa: F403
from moondream_site.settings.base import CACHES, REDIS_PREFIX

SECRET_KEY = "for-tests-only"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "private": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
CACHES["default"]["KEY_PREFIX"] = f"{REDIS_PREFIX}test"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ANON_RATE = "100000/m"
