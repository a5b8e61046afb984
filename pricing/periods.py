"""Months, by which plans count; all in UTC."""

from datetime import UTC, date, datetime


def month_of(moment: datetime) -> date:
    """The first day of a moment's month."""
    return moment.astimezone(UTC).date().replace(day=1)


def month_after(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def begins(month: date) -> datetime:
    """When a month begins."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def ends(month: date) -> datetime:
    """When a month ends: the next one begins."""
    return begins(month_after(month))


def month_read(text: str) -> date | None:
    """A month as addresses write it, `2026-12`; None for anything else."""
    try:
        return (
            datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date() if len(text) == 7 else None
        )
    except ValueError:
        return None
