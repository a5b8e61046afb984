"""CSV for spreadsheets, in which what a stranger wrote is never a formula."""

import csv
import io
from collections.abc import Iterable
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """A value as a cell: a text that a spreadsheet would take for a formula stands behind a quote mark."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(heads: Iterable[str], rows: Iterable[Iterable[Any]], *, line_end: str = "\r\n") -> str:
    """A table as CSV.

    Args:
        line_end: as RFC 4180 has it, or another.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end)
    writer.writerow(heads)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
