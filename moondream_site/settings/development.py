"""For work on this machine, and for `bin/demo`: the embedded services on loopback."""

import contextlib
import os
import secrets
from pathlib import Path

from django.core.management.utils import get_random_secret_key

from moondream_site.settings.base import *  # noqa: F403
from moondream_site.settings.base import (
    PRIVATE_DIR,
    REFERENCES_KEY,
    REFERENCES_KEYS,
    SECRET_KEY,
    STORAGES,
    VAR_DIR,
    env,
)

DEBUG = env.bool("DEBUG", default=True)


def _kept(file: Path, made: str) -> str:
    """A secret of this installation, kept beside its data: made once, whoever starts first."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        own = file.with_name(f"{file.name}.{os.getpid()}")
        own.touch(mode=0o600)
        own.write_text(made)
        with contextlib.suppress(FileExistsError):
            os.link(own, file)
        own.unlink()
    return file.read_text().strip()


SECRET_KEY = SECRET_KEY or _kept(VAR_DIR / "secret_key", get_random_secret_key())
if not REFERENCES_KEYS:
    REFERENCES_KEY = REFERENCES_KEY or _kept(
        PRIVATE_DIR / "references_key", secrets.token_urlsafe(48)
    )

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
