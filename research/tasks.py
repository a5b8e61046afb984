"""Background work of the pages."""

from celery import shared_task
from django.core.management import call_command

from research import services


@shared_task
def publish_scheduled() -> None:
    """Publish pages whose time has come, and unpublish those whose time is over."""
    call_command("publish_scheduled", verbosity=0)


@shared_task
def check_links() -> None:
    """Find links of pages that lead nowhere."""
    services.links_check()
