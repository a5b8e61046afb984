"""For work on this machine, and for `bin/demo`: the embedded services on loopback."""

from django.core.management.utils import get_random_secret_key

from moondream_site.settings.base import *  # noqa: F403
from moondream_site.settings.base import SECRET_KEY, STORAGES, VAR_DIR, env

DEBUG = env.bool("DEBUG", default=True)

if not SECRET_KEY:
    # One key for each installation, kept beside its data.
    _file = VAR_DIR / "secret_key"
    if not _file.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        _file.write_text(get_random_secret_key())
        _file.chmod(0o600)
    SECRET_KEY = _file.read_text().strip()

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
