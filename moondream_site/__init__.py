"""The shell: settings, URLs, the API's composition, Celery, the embedded services."""

from moondream_site.celery import app as celery_app

__all__ = ["celery_app"]
