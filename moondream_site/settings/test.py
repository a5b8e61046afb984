"""For pytest: fast hashing, plain static files, everything else as in production."""

import os

from moondream_site.settings.base import *  # noqa: F403
from moondream_site.settings.base import CACHES, DATABASES, REDIS_PREFIX, REDIS_URL, STORAGES

SECRET_KEY = "for-tests-only"  # noqa: S105
REFERENCES_KEY = "references-for-tests-only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
CACHES["default"]["LOCATION"] = REDIS_URL
CACHES["default"]["KEY_PREFIX"] = f"{REDIS_PREFIX}test"
SENDS_MAIL = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ANON_RATE = "100000/m"
INFERENCE_VARIANTS_KEPT_S = 0.0
# A migrated database to copy, where the tests have one (tests/templates.py).
DATABASES["default"]["TEST"] = {"TEMPLATE": os.environ.get("TEST_DATABASE_TEMPLATE")}
