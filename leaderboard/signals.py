"""Facts other rooms may listen to; sent after they are saved."""

from django.dispatch import Signal

submission_scored = Signal()
"""A submission has its scores. Arguments: submission."""

entries_changed = Signal()
"""A table was made anew. Arguments: benchmark."""

top_entry_changed = Signal()
"""Another entry leads a table. Arguments: entry."""

standings_changed = Signal()
"""A challenge's standings were made anew, and differ. Arguments: challenge."""
