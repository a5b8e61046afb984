"""Production's settings, with static files as they lie in the tree: compressing them takes minutes."""

from moondream_site.settings.production import *  # noqa: F403
from moondream_site.settings.production import STORAGES

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
