"""Wire shapes of `/v1`, as the official clients speak them."""

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import BaseModel, BeforeValidator, ConfigDict

DataUrl = Field(
    description="The image as a base64 data URL (`data:image/jpeg;base64,…`). Remote URLs are not fetched.",
    examples=["data:image/jpeg;base64,/9j/4AAQ…"],
)
SettingsField = Field(
    default=None,
    description="`temperature` (0 = greedy, the default), `top_p`, `max_tokens` or `maxTokens`, "
    "`max_objects`, `seed`. Unknown keys are ignored.",
)


Place = Annotated[list[float], Field(max_length=4)]


class SkillIn(Schema):
    """What every skill takes. `model` and `variant` mean the same; absent, the default answers."""

    model: str | None = Field(default=None, max_length=200)
    variant: str | None = Field(default=None, max_length=200)
    settings: dict[str, Any] | None = SettingsField

    @property
    def variant_slug(self) -> str | None:
        return self.model or self.variant


AttentionField = Field(
    default=False,
    description="Also tell where in the image each token of the answer looked. The answer has `attention` then. "
    "For variants that run on this server.",
)


class CaptionIn(SkillIn):
    image_url: str = DataUrl
    length: Literal["short", "normal", "long"] = "normal"
    stream: bool = False
    attention: bool = AttentionField


class QueryIn(SkillIn):
    question: str = Field(max_length=20_000, examples=["How many circles are there?"])
    image_url: str | None = Field(
        default=None,
        description="The image as a base64 data URL; without one, the question is about nothing seen.",
    )
    stream: bool = False
    reasoning: bool = False
    attention: bool = AttentionField
    spatial_refs: list[Place] | None = Field(
        default=None,
        max_length=16,
        description="Points [x, y] or boxes [x1, y1, x2, y2], each 0 to 1.",
    )


class RegionIn(SkillIn):
    image_url: str = DataUrl
    object: str = Field(max_length=20_000, examples=["red circle"])
    spatial_refs: list[Place] | None = Field(default=None, max_length=16)


class SegmentIn(RegionIn):
    stream: bool = False


class Metrics(Schema):
    input_tokens: int
    output_tokens: int
    prefill_time_ms: float
    decode_time_ms: float
    ttft_ms: float


class SkillOut(Schema):
    request_id: str
    variant: str
    confidence: float | None = Field(
        description="Geometric mean of the probabilities of the model's choices. Not the odds of being right."
    )
    outside_world: bool | None = Field(
        None,
        description="The image is unlike all that the model was trained on, as its detector tells: the answer is a guess. Null: the model has no detector.",
    )  # fmt: skip
    finish_reason: str
    metrics: Metrics


class Attention(Schema):
    """Mean attention over layers and heads: where information was read, not why."""

    pieces: list[str] = Field(description="The answer's tokens, at most the first 256.")
    grid: int = Field(description="Patches along each side of the image.")
    maps: str = Field(
        description="Base64 of one byte a patch: piece after piece, each grid by grid, rows from the top. The largest of a map is 255."
    )  # fmt: skip
    peaks: list[float] = Field(description="Of each map, the share of its attention to the image that 255 stands for.")  # fmt: skip
    image_share: list[float] = Field(description="How much of each piece's attention was on the image at all.")  # fmt: skip


class CaptionOut(SkillOut):
    caption: str
    attention: Attention | None = Field(None, description="Only where it was asked for.")


class Grounding(Schema):
    start_idx: int
    end_idx: int
    points: list[tuple[float, float]]


class Reasoning(Schema):
    text: str
    grounding: list[Grounding]


class QueryOut(SkillOut):
    answer: str
    reasoning: Reasoning | None = Field(None, description="Only where it was asked for.")
    attention: Attention | None = Field(None, description="Only where it was asked for.")


class Box(Schema):
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    confidence: float


class DetectOut(SkillOut):
    objects: list[Box]


class Point(Schema):
    x: float
    y: float
    confidence: float


class PointOut(SkillOut):
    points: list[Point]


class ErrorBody(Schema):
    message: str = Field(description="What is wrong and, in the same text, what to do.")
    type: str
    param: str | None = Field(None, description="The field that is wrong.")
    code: str
    hint: str = ""
    details: Any = None


class ErrorOut(Schema):
    """Every error under /v1."""

    error: ErrorBody


# Plain models of pydantic: ninja's own drop what they do not know, which is to be told here.
class ImageUrl(BaseModel):
    url: str


def _as_object(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _as_parts(value: Any) -> Any:
    if value is None:
        return []
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) and value else value or []


class Part(BaseModel):
    type: str = Field(max_length=40, examples=["text", "image_url"])
    text: str | None = Field(default=None, max_length=20_000)
    image_url: Annotated[
        ImageUrl | None, BeforeValidator(_as_object, json_schema_input_type=ImageUrl | str | None)
    ] = None


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        list[Part],
        Field(max_length=64),
        BeforeValidator(_as_parts, json_schema_input_type=list[Part] | str | None),
    ] = Field(default_factory=list)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ChatIn(BaseModel):
    """OpenAI's chat completion. `temperature` is 0 where it is absent. Fields that would change the
    answer and are not named here are refused, with their name as `param`."""

    model_config = ConfigDict(extra="allow")

    model: str | None = Field(default=None, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=64)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        default=None, description="Whether it reasons at all: `none` and `minimal` do not."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(max_length=4, description="The answer ends before the first of these."),
        BeforeValidator(_as_list, json_schema_input_type=list[str] | str | None),
    ] = Field(default_factory=list)


class ReasoningDetails(Schema):
    grounding: list[Grounding]


class ChatMessage(Schema):
    role: str
    content: str
    refusal: str | None = None
    reasoning: str | None = Field(None, description="Only where it was asked for.")
    reasoning_details: ReasoningDetails | None = None


class Choice(Schema):
    index: int
    message: ChatMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatOut(Schema):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class VariantOut(Schema):
    slug: str
    name: str
    precision: str
    quantization: str
    revision: str
    parameters: int | None
    weight_bytes: int | None
    measured_at: str | None
    default: bool
    world: str


class ModelOut(Schema):
    """OpenAI's, and what decides its answers."""

    id: str
    object: str
    created: int
    owned_by: str
    revision: str
    quantization: str = Field(description='"int8", "nf4", or empty for none.')


class ModelsOut(Schema):
    object: str
    data: list[ModelOut]


class JobOut(Schema):
    id: str
    skill: str
    status: str
    variant: str
    image_id: str
    created_at: str
    events_url: str
    cancel_url: str
    result: dict[str, Any] | None = None
    timings: dict[str, Any] | None = None
    confidence: float | None = None
    outside_world: bool | None = None
    error: dict[str, str] | None = None
