"""Facts other rooms may listen to; sent after they are saved."""

from django.dispatch import Signal

run_finished = Signal()
"""A run reached its end. Arguments: run."""
