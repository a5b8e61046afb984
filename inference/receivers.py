"""Celery's signals: a worker's sign of life. Django's: a changed variant."""

from typing import Any

from celery import current_app
from celery.signals import heartbeat_sent, worker_process_init, worker_ready, worker_shutdown
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from inference import selectors, services
from inference.models import Variant


@worker_ready.connect
@heartbeat_sent.connect
def _alive(sender: Any, **_: Any) -> None:
    # worker_ready's sender is the consumer, heartbeat_sent's the heart.
    consumer = getattr(sender, "eventer", sender)
    hostname = getattr(consumer, "hostname", None) or getattr(sender, "hostname", "worker")
    services.worker_beat(str(hostname), current_app.amqp.queues.consume_from)


@worker_shutdown.connect
def _gone(sender: Any, **_: Any) -> None:
    services.worker_gone(str(getattr(sender, "hostname", "worker")))


@worker_process_init.connect
def _fresh_process(**_: Any) -> None:
    services.worker_process_started(current_app.amqp.queues.consume_from)


@receiver([post_save, post_delete], sender=Variant)
def _variant_changed(**_: Any) -> None:
    selectors.variants_forget()
