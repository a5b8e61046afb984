"""Django's signals: a changed plan is read anew; an attachment's file goes with its row; an account that goes
pays no more."""

import logging
from typing import Any

from django.conf import settings
from django.db.models.signals import post_delete, post_save, pre_delete

from inference.messages import send_on_commit
from pricing.models import BillingCustomer, CreditAttachment, Plan, PlanVersion
from pricing.selectors import plans_forget
from pricing.services.credit_files import attachment_gone

logger = logging.getLogger(__name__)

for _model in (Plan, PlanVersion):
    post_save.connect(plans_forget, sender=_model, dispatch_uid=f"plans_forget_{_model.__name__}")
    post_delete.connect(plans_forget, sender=_model, dispatch_uid=f"plans_gone_{_model.__name__}")
post_delete.connect(attachment_gone, sender=CreditAttachment, dispatch_uid="attachment_gone")


def _late(error: Exception) -> None:
    logger.warning("No worker could be told of an account that is gone: %s", error)


def _gone(instance: Any, **_: Any) -> None:
    subscriptions_end(instance)


def subscriptions_end(user: Any) -> None:
    """Whoever deletes an account is charged no more. Should the message be lost, `billing_reconcile` does it."""
    from pricing.tasks import customer_end

    for pk in BillingCustomer.objects.filter(account__user=user).values_list("pk", flat=True):
        send_on_commit(customer_end, pk, lost=_late)


pre_delete.connect(_gone, sender=settings.AUTH_USER_MODEL, dispatch_uid="subscriptions_end")
