"""The Celery application; every option is a Django setting named CELERY_…"""

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")

app = Celery("moondream_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_postrun.connect
def _release(**_: Any) -> None:
    """After a task its connection goes back to the pool, where it is looked at before the next."""
    from inference.database import release

    release()
