"""Files of rows that strangers send: unpacked and read a piece at a time, bounded before they are parsed.

Imports no Django and no torch.
"""


class UnreadableError(ValueError):
    """A file, or a row of it, cannot be read; the text is for who sent it."""
