"""Facts other rooms may listen to; sent after they are saved."""

from django.dispatch import Signal

submission_scored = Signal()
"""A submission has its scores. Arguments: submission."""

entries_changed = Signal()
"""A table was made anew. Arguments: benchmark."""

entries_added = Signal()
"""Rows of submissions that were not on a table are on it; sent in the transaction that writes them.
Arguments: benchmark, entries."""

top_entry_changed = Signal()
"""Another entry leads a table. Arguments: entry."""

standings_changed = Signal()
"""A challenge's standings were made anew, and differ. Arguments: challenge."""
