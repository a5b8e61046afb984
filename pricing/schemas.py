"""What operations take and give."""

from typing import Any

from ninja import Field, Schema


class RevokeIn(Schema):
    """A key to end."""

    key: str = Field(
        "", max_length=200, description="The whole key; without it, the request's own."
    )


class RevokedOut(Schema):
    """It works no more."""

    revoked: bool


class MeterOut(Schema):
    """One meter of the present month."""

    unit: str
    limit: int | None = Field(description="Null: no limit of the plan's.")
    used: float
    reserved: float
    left: float | None
    resets_at: str
    forecast: float | None


class UsageOut(Schema):
    """A month of an account."""

    month: str
    plan: str
    meters: dict[str, MeterOut]
    rows: list[dict[str, Any]]
