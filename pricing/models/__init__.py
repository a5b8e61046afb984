"""Keys, mails, and what an account may use."""

from pricing.models.accounts import LinkedAccount, MailAddress, SecondStep, is_staff
from pricing.models.billing import (
    BillingCustomer,
    Invoice,
    MeterEvent,
    PaymentEvent,
    Subscription,
)
from pricing.models.costs import MachinePrice, MeasuredTime
from pricing.models.credits import (
    CreditApplication,
    CreditAttachment,
    CreditEvent,
    CreditOutcome,
)
from pricing.models.keys import ApiKey, Scope
from pricing.models.ledger import (
    Allotment,
    Hold,
    KeyMonth,
    LedgerAccount,
    LedgerEntry,
    Meter,
    RegisteredImage,
    UsageDay,
)
from pricing.models.mails import MailText
from pricing.models.personal import AccountDeletion, DataExport
from pricing.models.plans import Plan, PlanVersion
from pricing.models.site import InvoiceSettings, PricingSettings

__all__ = [
    "AccountDeletion",
    "Allotment",
    "ApiKey",
    "BillingCustomer",
    "CreditApplication",
    "CreditAttachment",
    "CreditEvent",
    "CreditOutcome",
    "DataExport",
    "Hold",
    "Invoice",
    "InvoiceSettings",
    "KeyMonth",
    "LedgerAccount",
    "LedgerEntry",
    "LinkedAccount",
    "MachinePrice",
    "MailAddress",
    "MailText",
    "MeasuredTime",
    "Meter",
    "MeterEvent",
    "PaymentEvent",
    "Plan",
    "PlanVersion",
    "PricingSettings",
    "RegisteredImage",
    "Scope",
    "SecondStep",
    "Subscription",
    "UsageDay",
    "is_staff",
]  # fmt: skip
