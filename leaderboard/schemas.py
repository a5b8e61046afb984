"""Shapes of the leaderboards' API."""

from typing import Any
from uuid import UUID

from ninja import Schema


class ProblemOut(Schema):
    """RFC 9457, with more fields by its kind."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


class MetricOut(Schema):
    slug: str
    name: str
    definition: str
    unit: str
    higher_is_better: bool
    version: int


class SplitOut(Schema):
    name: str
    is_public: bool
    ranks: bool
    items: int
    data_hash: str
    daily_limit: int | None
    total_limit: int | None
    is_retired: bool
    items_url: str


class BenchmarkOut(Schema):
    slug: str
    title: str
    summary: str
    task: str
    ranked_by: str
    metrics: list[MetricOut]
    splits: list[SplitOut]
    prediction: dict[str, Any]
    guide: str
    licence: str
    source: str
    is_open: bool
    url: str
    stale_since: str | None = None
    """Since when the table is being recomputed; None while it holds."""


class WarningOut(Schema):
    code: str
    message: str


class CheckOut(Schema):
    valid: bool
    items: int
    lines: int
    warnings: list[WarningOut] = []  # absent where there are none


class QuotaOut(Schema):
    team: str
    split: str
    today: int | None
    total: int | None
    resets: str


class ScoreOut(Schema):
    value: float
    low: float
    high: float
    unit: str
    signature: str
    by_category: dict[str, float]


class QueueOut(Schema):
    before: int
    eta_s: int | None
    scorer_seen_at: str | None


class SubmissionOut(Schema):
    id: UUID
    benchmark: str
    split: str
    challenge: str | None
    phase: str | None
    is_sealed: bool
    team: str
    model_name: str
    site_model: str
    status: str
    is_public: bool
    waiting_before: int | None
    queue: QueueOut | None
    error: dict[str, str] | None
    scores: dict[str, ScoreOut]
    url: str
    events_url: str
    created_at: str
    quota: QuotaOut


class PublishIn(Schema):
    is_public: bool


class PhaseOut(Schema):
    name: str
    split: str
    starts_at: str
    ends_at: str
    state: str
    feedback: str
    daily_limit: int | None
    total_limit: int | None


class ChallengeOut(Schema):
    slug: str
    title: str
    summary: str
    benchmark: str
    metric: str
    state: str
    opens_at: str
    closes_at: str
    freeze_at: str | None
    final_published_at: str | None
    team_size: int
    needs_approval: bool
    is_sample: bool
    phases: list[PhaseOut]
    url: str
    rules_url: str | None


class StandingOut(Schema):
    rank: int | None
    rank_first: int | None
    rank_last: int | None
    team: str
    model: str
    is_withdrawn: bool
    value: float | None
    low: float | None
    high: float | None
    at: str


class StandingsOut(Schema):
    challenge: str
    phase: str | None
    is_final: bool
    frozen_at: str | None
    metric: str
    unit: str
    stale_since: str | None = None
    """Since when they are being recomputed; None while they hold."""
    disqualified: list[str]
    page: int
    pages: int
    rows: list[StandingOut]


class JoinIn(Schema):
    accept_rules: bool = False
    team: str = ""


class ChooseIn(Schema):
    submission: UUID | None = None


class OwnSubmissionOut(Schema):
    id: UUID
    phase: str
    model_name: str
    status: str
    value: float | None
    counts: bool
    created_at: str


class ParticipationOut(Schema):
    challenge: str
    team: str
    state: str
    reason: str
    rules_accepted_at: str | None
    phase: str | None
    today: int | None
    total: int | None
    submissions: list[OwnSubmissionOut]
