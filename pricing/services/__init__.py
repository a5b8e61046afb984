"""Writes."""

from pricing.services.accounts import (
    address_make_primary,
    address_remove,
    address_verify,
    admin_make,
    second_step_remove,
)
from pricing.services.alerts import usage_alerts
from pricing.services.checkout import checkout_begin, customer_of, portal_begin
from pricing.services.costs import prices_load, times_measure
from pricing.services.credit_files import (
    attachment_add,
    attachment_read,
    attachment_remove,
    outcome_add,
    outcome_remove,
)
from pricing.services.credits import (
    application_approve,
    application_ask,
    application_begin,
    application_decline,
    application_note,
    application_own,
    application_report,
    application_submit,
    application_withdraw,
    grant_withdraw,
)
from pricing.services.invoices import credit_note_issue, invoice_issue
from pricing.services.keys import (
    check_staying,
    key_give_up,
    key_make,
    key_revoke,
    key_rotate,
    key_used,
)
from pricing.services.mail_texts import mail_text_write
from pricing.services.meter_events import (
    meter_event_again,
    meter_events_collect,
    meter_events_send,
)
from pricing.services.metering import (
    allotments_lapse,
    holds_sweep,
    storage_owners,
    storage_record,
)
from pricing.services.payment_events import (
    event_again,
    event_receive,
    event_run,
    events_due,
)
from pricing.services.personal import (
    account_erase,
    deletion_obstacles,
    deletion_pending,
    deletion_phrase,
    deletion_request,
    deletion_undo,
    deletions_due,
    export_make,
    export_open,
    export_request,
    exports_care,
)
from pricing.services.plans import plan_set, plans_load
from pricing.services.registering import files_registered, images_register
from pricing.services.subscriptions import (
    billing_reconcile,
    customer_end,
    customer_sync,
    plans_arrive,
    subscription_sync,
)

__all__ = [
    "account_erase",
    "address_make_primary",
    "address_remove",
    "address_verify",
    "admin_make",
    "allotments_lapse",
    "application_approve",
    "application_ask",
    "application_begin",
    "application_decline",
    "application_note",
    "application_own",
    "application_report",
    "application_submit",
    "application_withdraw",
    "attachment_add",
    "attachment_read",
    "attachment_remove",
    "billing_reconcile",
    "check_staying",
    "checkout_begin",
    "credit_note_issue",
    "customer_end",
    "customer_of",
    "customer_sync",
    "deletion_obstacles",
    "deletion_pending",
    "deletion_phrase",
    "deletion_request",
    "deletion_undo",
    "deletions_due",
    "event_again",
    "event_receive",
    "event_run",
    "events_due",
    "export_make",
    "export_open",
    "export_request",
    "exports_care",
    "files_registered",
    "grant_withdraw",
    "holds_sweep",
    "images_register",
    "invoice_issue",
    "key_give_up",
    "key_make",
    "key_revoke",
    "key_rotate",
    "key_used",
    "mail_text_write",
    "meter_event_again",
    "meter_events_collect",
    "meter_events_send",
    "outcome_add",
    "outcome_remove",
    "plan_set",
    "plans_arrive",
    "plans_load",
    "portal_begin",
    "prices_load",
    "second_step_remove",
    "storage_owners",
    "storage_record",
    "subscription_sync",
    "times_measure",
    "usage_alerts",
]  # fmt: skip
