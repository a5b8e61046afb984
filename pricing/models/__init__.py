"""Keys, mails, and what an account may use."""

from pricing.models.accounts import LinkedAccount, MailAddress, SecondStep, is_staff
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
from pricing.models.site import PricingSettings

__all__ = [
    "AccountDeletion",
    "Allotment",
    "ApiKey",
    "CreditApplication",
    "CreditAttachment",
    "CreditEvent",
    "CreditOutcome",
    "DataExport",
    "Hold",
    "KeyMonth",
    "LedgerAccount",
    "LedgerEntry",
    "LinkedAccount",
    "MachinePrice",
    "MailAddress",
    "MailText",
    "MeasuredTime",
    "Meter",
    "Plan",
    "PlanVersion",
    "PricingSettings",
    "RegisteredImage",
    "Scope",
    "SecondStep",
    "UsageDay",
    "is_staff",
]  # fmt: skip
