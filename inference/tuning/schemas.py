"""Wire shapes of `/v1/tuning`, as the official client speaks them."""

from typing import Any

from ninja import Field, Schema
from pydantic import ConfigDict

_MODEL = "A base model, as /v1/models names them; absent, the default."


class FinetuneIn(Schema):
    name: str = Field(max_length=200, examples=["counts"])
    rank: int = Field(description="8, 16, 24 or 32.", examples=[8])
    model: str | None = Field(default=None, max_length=200, description=_MODEL)
    layers: str | None = Field(
        default=None, max_length=20,
        description="Layers of the text blocks that are adapted: `mlp` (as Moondream's service), `variant` (as its torch code's variants) or `text` (all).",
    )  # fmt: skip
    regions: bool | None = Field(
        default=None, description="Adapt the heads that say places as well. Moondream's own files have no place for them."
    )  # fmt: skip


class FinetuneOut(Schema):
    finetune_id: str
    name: str
    rank: int
    layers: str = Field(description="Layers of the text blocks that are adapted.")
    regions: bool = Field(description="The heads that say places are adapted as well.")
    model: str = Field(description="The base.")
    step: int = Field(description="Steps that are trained and stored.")
    created_at_ms: int
    updated_at_ms: int


class FinetunesOut(Schema):
    finetunes: list[FinetuneOut]
    next_cursor: str | None
    has_more: bool


class OkOut(Schema):
    ok: bool


class RolloutsIn(Schema):
    finetune_id: str = Field(max_length=40)
    num_rollouts: int = Field(default=1, description="1 to 16.")
    request: dict[str, Any] = Field(
        description="`skill` (query, point or detect) with `question` or `object`, `image_url`, `settings`."
    )
    ground_truth: dict[str, Any] | None = Field(
        default=None, description="`boxes` or `points`: what is right, for `rewards` in the reply."
    )


class RolloutsOut(Schema):
    request: dict[str, Any] = Field(description="As it was sent: hand it to /train_step.")
    rollouts: list[dict[str, Any]] = Field(
        description="`output` is the answer. The rest is for /train_step: hand it back unchanged."
    )
    rewards: list[float] | None


class TrainStepIn(Schema):
    model_config = ConfigDict(extra="ignore")

    finetune_id: str = Field(max_length=40)
    groups: list[dict[str, Any]] = Field(
        description="`mode` rl with `request`, `rollouts` and `rewards`; or sft with `request` and `target`."
    )
    lr: float = 2e-4
    step: int | None = Field(
        default=None, description="The step that it is to be: repeated, it is trained once."
    )


class TrainStepOut(Schema):
    step: int
    applied: bool = Field(
        description="False where every group was flat: there was nothing to learn."
    )
    kl: float | None
    router_kl: float | None
    grad_norm: float | None
    sft_loss: float | None
    reward_mean: float | None
    reward_std: float | None
    loss: float
    stale_steps: int = Field(description="Steps that the oldest rollout is older than the model.")


class MetricsIn(Schema):
    step: int
    metrics: dict[str, float]


class MetricsOut(Schema):
    ok: bool
    step: int
    logged_count: int


class CheckpointOut(Schema):
    checkpoint_id: str
    finetune_id: str
    step: int
    expires_at_ms: int | None
    created_at_ms: int
    updated_at_ms: int
    size_bytes: int


class CheckpointsOut(Schema):
    checkpoints: list[CheckpointOut]
    next_cursor: str | None
    has_more: bool


class SavedOut(Schema):
    ok: bool
    checkpoint: CheckpointOut


class DownloadOut(Schema):
    url: str = Field(
        description="A zip of the adapter in PEFT's format; works for an hour, without a key."
    )


class UploadOut(Schema):
    id: str
    name: str
    size_bytes: int
    rows: int
    images: int
    skills: dict[str, int] = Field(description="Examples by skill.")
    notes: list[str] = Field(description="What was not read, and is no fault.")
    has_targets: bool = Field(description="Every example says what is right, and can be taught.")
    has_references: bool = Field(description="Every example has what a reward may read.")


class RunIn(Schema):
    data: dict[str, Any] = Field(
        description="`source`: world (`preset`, `domain`, `count`, `seed`), upload (`upload`) or benchmark "
        "(`benchmark`, `split`).",
        examples=[{"source": "world", "preset": "counts", "count": 400}],
    )
    reward: dict[str, Any] | None = Field(
        default=None, description="A reward document, as the builder makes it; sft needs none."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="What differs from the defaults.",
        examples=[{"steps": 40}],
    )
    model: str | None = Field(default=None, max_length=200, description=_MODEL)
    title: str = Field(default="", max_length=200)


class RunOut(Schema):
    id: str
    title: str
    status: str = Field(description="queued, running, paused, succeeded, failed or cancelled.")
    wish: str = Field(description="pause or cancel, where that was asked and is not done yet.")
    finish_reason: str = Field(description="steps, time_limit or kl_limit.")
    error: dict[str, str] | None
    base: str
    step: int = Field(description="Steps that are stored.")
    steps: int
    model: str | None
    settings: dict[str, Any]
    reward: dict[str, Any] | None
    data: dict[str, Any]
    measured: dict[str, Any] = Field(description="On held-out examples, `before` and `after`.")
    spent_s: float
    limit_s: int
    created_at: str
    events_url: str
    cancel_url: str
