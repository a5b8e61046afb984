"""Wire shapes of `/v1/tuning`, as the official client speaks them."""

from typing import Any

from ninja import Field, Schema
from pydantic import ConfigDict

_MODEL = "A base model, as /v1/models names them; absent, the default."


class FinetuneIn(Schema):
    name: str = Field(max_length=200, examples=["counts"])
    rank: int = Field(description="8, 16, 24 or 32.", examples=[8])
    model: str | None = Field(default=None, max_length=200, description=_MODEL)


class FinetuneOut(Schema):
    finetune_id: str
    name: str
    rank: int
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
