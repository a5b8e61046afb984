"""The Celery application; every option is a Django setting named CELERY_…"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moondream_site.settings.development")

app = Celery("moondream_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
