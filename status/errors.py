"""What goes wrong with what runs by the clock, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "status", is_of_api=False)

UNKNOWN_TASK = _kind("unknown_task", 404, "The code has no such task.", "Switch its schedule off.")
