"""Facts other rooms may listen to; sent after they are saved."""

from django.dispatch import Signal

job_finished = Signal()
"""A job reached its end. Arguments: job."""
