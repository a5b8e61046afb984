"""Django's signals: a changed plan is read anew; an attachment's file goes with its row."""

from django.db.models.signals import post_delete, post_save

from pricing.models import CreditAttachment, Plan, PlanVersion
from pricing.selectors import plans_forget
from pricing.services.credit_files import attachment_gone

for _model in (Plan, PlanVersion):
    post_save.connect(plans_forget, sender=_model, dispatch_uid=f"plans_forget_{_model.__name__}")
    post_delete.connect(plans_forget, sender=_model, dispatch_uid=f"plans_gone_{_model.__name__}")
post_delete.connect(attachment_gone, sender=CreditAttachment, dispatch_uid="attachment_gone")
