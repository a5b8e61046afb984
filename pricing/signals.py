"""Facts other rooms may listen to; sent in the transaction that makes them so."""

from django.dispatch import Signal

credits_decided = Signal()
"""An application was approved or declined. Arguments: application."""

usage_alerted = Signal()
"""An account has used 80 or 100 per cent of an allotment. Arguments: user, allotment, percent, unit."""
