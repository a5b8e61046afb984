"""Reads."""

from pricing.selectors.billing import Billing, billing_of, has_billing, offers_now
from pricing.selectors.costs import (
    Cost,
    costs_now,
    machine_of,
    machine_prices,
    measured_cost,
    order_by_cost,
    plan_total,
)
from pricing.selectors.credits import (
    CreditsReport,
    Standing,
    applications_of,
    attachment_get,
    attachment_of,
    credits_report,
    standing,
)
from pricing.selectors.invoices import InvoicePage, invoice_of, invoice_page, invoices_of
from pricing.selectors.keys import key_of, key_with, keys_of
from pricing.selectors.plans import (
    UNLIMITED,
    Plans,
    Terms,
    account_of_user,
    plans_forget,
    plans_now,
    plans_of,
    terms_of,
)
from pricing.selectors.shown import (
    Calculator,
    PlansTable,
    calculator,
    plans_table,
    settings_now,
)
from pricing.selectors.usage import Usage, usage_csv, usage_of, usage_rows

__all__ = [
    "UNLIMITED",
    "Billing",
    "Calculator",
    "Cost",
    "CreditsReport",
    "InvoicePage",
    "Plans",
    "PlansTable",
    "Standing",
    "Terms",
    "Usage",
    "account_of_user",
    "applications_of",
    "attachment_get",
    "attachment_of",
    "billing_of",
    "calculator",
    "costs_now",
    "credits_report",
    "has_billing",
    "invoice_of",
    "invoice_page",
    "invoices_of",
    "key_of",
    "key_with",
    "keys_of",
    "machine_of",
    "machine_prices",
    "measured_cost",
    "offers_now",
    "order_by_cost",
    "plan_total",
    "plans_forget",
    "plans_now",
    "plans_of",
    "plans_table",
    "settings_now",
    "standing",
    "terms_of",
    "usage_csv",
    "usage_of",
    "usage_rows",
]  # fmt: skip
