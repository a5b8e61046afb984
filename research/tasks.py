"""Background work of the pages."""

from celery import shared_task
from django.core.management import call_command

from inference.errors import DomainError
from research import services


@shared_task
def publish_scheduled() -> None:
    """Publish pages whose time has come, and unpublish those whose time is over."""
    call_command("publish_scheduled", verbosity=0)


@shared_task(
    autoretry_for=(DomainError, OSError), retry_backoff=5, retry_backoff_max=300, max_retries=8
)
def make_pictures(page_id: int) -> None:
    """Make a published page's pictures, also once a storage that is away is back."""
    services.pictures_make(page_id)


@shared_task
def check_links() -> None:
    """Find links of pages that lead nowhere."""
    services.links_check()
