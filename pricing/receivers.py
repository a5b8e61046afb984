"""Django's signals: a changed plan is read anew."""

from django.db.models.signals import post_delete, post_save

from pricing.models import Plan, PlanVersion
from pricing.selectors import plans_forget

for _model in (Plan, PlanVersion):
    post_save.connect(plans_forget, sender=_model, dispatch_uid=f"plans_forget_{_model.__name__}")
    post_delete.connect(plans_forget, sender=_model, dispatch_uid=f"plans_gone_{_model.__name__}")
