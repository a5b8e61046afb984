"""What goes wrong, declared once for each error: what raises it, what answers it, the public catalogue,
OpenAPI and the tests all take it from its declaration.

A room declares its own in its `errors.py`, and raises them by reference:
`raise errors.JOB_NOT_FOUND()`. The shell turns them into responses, in the reader's shape.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar


class DomainError(Exception):
    """Something the caller can understand and act on. `ErrorKind` makes these."""

    def __init__(
        self, kind: "ErrorKind", message: str, hint: str, extra: dict[str, Any], retry_after: int
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.extra = extra
        self.retry_after = retry_after
        """Seconds, where trying again then may help; else 0."""

    @property
    def code(self) -> str:
        return self.kind.code

    @property
    def status(self) -> int:
        return self.kind.status

    @property
    def payload(self) -> dict[str, str]:
        """What its asker reads of it, in a stream or beside a form."""
        return {"code": self.code, "message": self.message, "hint": self.hint}

    @property
    def whole(self) -> str:
        """Message and hint, for those who are shown one text alone."""
        return f"{self.message} {self.hint}".rstrip()


class InvalidInput(DomainError):
    """400, 422, and what else is wrong with a request."""


class Unauthorised(DomainError):
    """401."""


class Forbidden(DomainError):
    """403."""


class NotFound(DomainError):
    """404."""


class Conflict(DomainError):
    """409."""


class TooLarge(DomainError):
    """413."""


class Unsupported(DomainError):
    """415."""


class Busy(DomainError):
    """429, 503: too much work waiting, or a part of the system is away; try again after
    `retry_after` s."""


class TimedOut(DomainError):
    """504."""


class Failed(DomainError):
    """500, 502: something of ours, or of a service behind us, broke."""


_FAMILIES: dict[int, type[DomainError]] = {
    401: Unauthorised, 403: Forbidden, 404: NotFound, 409: Conflict, 413: TooLarge, 415: Unsupported,
    429: Busy, 500: Failed, 502: Failed, 503: Busy, 504: TimedOut,
}  # fmt: skip

KINDS: dict[str, "ErrorKind"] = {}
"""Every error that is declared in what has been imported, by its code."""


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One error: called, it is the exception to raise.

    Attributes:
        room: whose it is.
        title: what it means, whenever it happens; the message of one that has none of its own.
        hint: what to do about it.
        retry_after: seconds to wait before trying again, of 429 and 503.
        is_of_api: whether programs meet it; others are of forms and of admins' commands alone.
    """

    room: str
    code: str
    status: int
    title: str
    hint: str
    retry_after: int = 5
    is_of_api: bool = True
    do_not_call_in_templates: ClassVar[bool] = True  # where Django calls what can be called

    def __post_init__(self) -> None:
        if KINDS.setdefault(self.code, self) is not self:
            raise ValueError(f"{self.code} is declared twice")

    def __call__(
        self, message: str = "", *, hint: str | None = None, retry_after: int | None = None, **extra: Any
    ) -> DomainError:  # fmt: skip
        """The exception.

        Args:
            message: what happened this time, if more can be told than the title.
            hint: what to do this time, likewise.
            extra: what programs may want to know besides; `field` names the input that is wrong.
        """
        family = _FAMILIES.get(self.status, InvalidInput)
        wait = self.retry_after if retry_after is None else retry_after
        return family(
            self, message or self.title, self.hint if hint is None else hint, extra,
            wait if family is Busy else 0,
        )  # fmt: skip


def kind_of(code: str) -> ErrorKind:
    """The declaration of a code that was kept or came from a worker; an unknown one is our fault."""
    return KINDS.get(code, INTERNAL_ERROR)


def payload(code: str, message: str) -> dict[str, str]:
    """`DomainError.payload` of an error of which these two were kept."""
    return {"code": code, "message": message, "hint": kind_of(code).hint}


def catalogue() -> list[ErrorKind]:
    """Every error that a client of the API can meet, by code."""
    return sorted((kind for kind in KINDS.values() if kind.is_of_api), key=lambda kind: kind.code)


_TYPES = {
    401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 404: "not_found_error", 409: "conflict_error",
    429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip


def openai_body(error: DomainError) -> dict[str, Any]:
    """What OpenAI's clients find under `error`; `param` names the field that is wrong."""
    default = "server_error" if error.status >= 500 else "invalid_request_error"
    body: dict[str, Any] = {
        "message": error.whole, "type": _TYPES.get(error.status, default),
        "param": error.extra.get("field"), "code": error.code, "hint": error.hint,
    }  # fmt: skip
    if error.extra:
        body["details"] = error.extra
    return body


_kind = partial(ErrorKind, "inference")

# The request.
BAD_IDEMPOTENCY_KEY = _kind(
    "bad_idempotency_key", 400, "The Idempotency-Key cannot be kept.",
    "Send up to 128 printable characters.",
)  # fmt: skip
BAD_IMAGE_URL = _kind(
    "bad_image_url", 400, "`image_url` is no base64 data URL.", "Send data:image/jpeg;base64,…"
)
BAD_LENGTH = _kind(
    "bad_length", 400, "The caption's length is unknown.", "Use short, normal or long."
)
BAD_SETTINGS = _kind(
    "bad_settings", 400, "A setting is out of its range.", "See `settings` in the reference."
)
BAD_SPATIAL_REFS = _kind(
    "bad_spatial_refs", 400, "`spatial_refs` are not points or boxes in 0..1.",
    "Send [x, y] or [x_min, y_min, x_max, y_max].",
)  # fmt: skip
IDEMPOTENCY_CONFLICT = _kind(
    "idempotency_conflict", 409, "The Idempotency-Key was used for another request.",
    "Use a new key for a new request.",
)  # fmt: skip
INVALID_REQUEST = _kind(
    "invalid_request", 400, "The model cannot take this question.", "Change it and try again."
)
OBJECT_REQUIRED = _kind("object_required", 400, "The object is empty.", "Write the object.")
OBJECT_TOO_LONG = _kind("object_too_long", 400, "The object is too long.", "Shorten it.")
QUESTION_REQUIRED = _kind("question_required", 400, "The question is empty.", "Write the question.")
QUESTION_TOO_LONG = _kind("question_too_long", 400, "The question is too long.", "Shorten it.")
TOO_MANY_IMAGES = _kind(
    "too_many_images", 400, "A question is about one image, and this turn has several.",
    "Send one image, or ask about each by itself.",
)  # fmt: skip
UNKNOWN_PARAMETER = _kind(
    "unknown_parameter", 400, "There is no such field.", "Leave it out; the reference lists the fields."
)  # fmt: skip
UNSUPPORTED_PARAMETER = _kind(
    "unsupported_parameter", 400, "A field asks for what this server does not do.", "Leave it out."
)
UNSUPPORTED_REASONING = _kind(
    "unsupported_reasoning", 400, "The variant does not reason.", "Ask without reasoning."
)
UNSUPPORTED_SKILL = _kind(
    "unsupported_skill", 400, "There is no such skill here.", "Use caption, query, detect or point."
)
VARIANT_NOT_FOUND = _kind(
    "variant_not_found", 404, "There is no such model variant.", "GET /v1/models lists them."
)
ADAPTER_GONE = _kind(
    "adapter_gone",
    410,
    "That tuned model is no longer here.",
    "Ask its base, or another checkpoint.",
)

# Images.
BROKEN_IMAGE = _kind(
    "broken_image", 400, "The image file is damaged or incomplete.",
    "Save or export it again and retry.",
)  # fmt: skip
EMPTY_IMAGE = _kind("empty_image", 400, "The image file is empty.", "Choose another file.")
IMAGE_GONE = _kind(
    "image_gone", 400, "That image is no longer here: images are kept for a while.", "Upload it again."
)  # fmt: skip
IMAGE_REQUIRED = _kind("image_required", 400, "An image is needed.", "Add an image.")
IMAGE_SHAPE = _kind("image_shape", 400, "The image is too long and thin, or too small.", "Crop it.")
IMAGE_TOO_COSTLY = _kind(
    "image_too_costly", 413, "The image takes too much time or memory to read.",
    "Save it again as an ordinary PNG or JPEG, or scale it down.",
)  # fmt: skip
IMAGE_TOO_LARGE = _kind("image_too_large", 413, "The image's file is too large.", "Send a smaller one.")  # fmt: skip
IMAGES_BUSY = _kind(
    "images_busy", 503, "Too many images are being read.", "Try again in a few seconds.", 2
)
REMOTE_IMAGE = _kind(
    "remote_image", 400, "Remote image URLs are not fetched.",
    "Send the image itself as a data URL: data:image/jpeg;base64,…",
)  # fmt: skip
TOO_MANY_PIXELS = _kind(
    "too_many_pixels",
    413,
    "The image has too many pixels.",
    "Scale it down. A JPEG may have four times as many as other files.",
)
UNKNOWN_SAMPLE = _kind(
    "unknown_sample", 400, "There is no such sample image.", "Send an image of yours."
)
UNSUPPORTED_IMAGE = _kind(
    "unsupported_image", 415, "This file is not an image we can read.",
    "Use JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.",
)  # fmt: skip

# Jobs, the queue, streams.
CANCELLED = _kind("cancelled", 409, "The job was cancelled.", "Ask again.")
INTERNAL_ERROR = _kind(
    "internal_error", 500, "Something broke on our side.", "Try again; it was logged."
)
JOB_NOT_FOUND = _kind(
    "job_not_found", 404, "There is no such job; it may have been cleared away.",
    "Jobs are kept for a week: ask again.",
)  # fmt: skip
NOT_YOUR_JOB = _kind(
    "not_your_job", 403, "Another caller asked for this job.",
    "Cancel it with the key, or from the network, that asked.",
)  # fmt: skip
OUT_OF_MEMORY = _kind(
    "out_of_memory", 500, "The worker ran out of memory.", "Try a smaller variant."
)
QUEUE_FULL = _kind(
    "queue_full", 429, "Too many questions are waiting.", "Try again in a few seconds.", 10
)
QUEUE_SLOW = _kind(
    "queue_slow", 503, "The workers cannot keep up, or are away.", "Try again in half a minute.", 30
)
QUEUE_UNAVAILABLE = _kind(
    "queue_unavailable", 503, "The job queue cannot be reached.", "Try again in a moment."
)
STORAGE_UNAVAILABLE = _kind(
    "storage_unavailable", 503, "The file storage cannot be reached.",
    "Nothing was changed; try again in a moment.",
)  # fmt: skip
STREAM_INTERRUPTED = _kind(
    "stream_interrupted", 503, "The stream was interrupted on the server.",
    "Reconnect with the last id as Last-Event-ID.",
)  # fmt: skip
STREAMS_FULL = _kind(
    "streams_full", 503, "Too many streams and waiting requests are open.", "Try again in a moment.", 10
)  # fmt: skip
TIMEOUT = _kind("timeout", 504, "The answer took too long.", "Ask for less, or try again.")
TOO_MANY_STREAMS = _kind(
    "too_many_streams", 429, "Too many streams and waiting requests are open from this address.",
    "Close some of them, then try again.", 10,
)  # fmt: skip
TOO_MANY_WAITING = _kind(
    "too_many_waiting", 429, "Too many of your questions are waiting already.",
    "Wait for some of them, or cancel them.",
)  # fmt: skip
WEIGHTS_DAMAGED = _kind(
    "weights_damaged", 500, "Files of the variant's weights are missing or damaged.",
    "Choose another variant; an admin has to mend this one.",
)  # fmt: skip
WORKER_LOST = _kind(
    "worker_lost", 500, "The worker was lost while answering, several times over.",
    "Try again; it was logged.",
)  # fmt: skip

# Moondream's own service.
CLOUD_CLIENT_MISSING = _kind(
    "cloud_client_missing", 503, "The official client is not installed here.",
    "Choose a variant that runs here; an admin has to install it.", 3600,
)  # fmt: skip
CLOUD_FAULT = _kind(
    "cloud_fault", 502, "Moondream's service has a fault.",
    "Try again, or choose a variant that runs here.",
)  # fmt: skip
CLOUD_RATE_LIMITED = _kind(
    "cloud_rate_limited", 429, "Moondream's service asks to slow down.",
    "Try again in a minute, or choose a variant that runs here.", 60,
)  # fmt: skip
CLOUD_REFUSED = _kind(
    "cloud_refused", 400, "Moondream's service refused the question.",
    "Change the question or the image.",
)  # fmt: skip
CLOUD_UNAUTHORISED = _kind(
    "cloud_unauthorised", 502, "Moondream's service did not accept this server's key.",
    "Choose a variant that runs here; an admin has to set MOONDREAM_API_KEY.",
)  # fmt: skip
CLOUD_UNREACHABLE = _kind(
    "cloud_unreachable", 503, "Moondream's service cannot be reached.",
    "Choose a variant that runs here, or try again.", 30,
)  # fmt: skip

# Other servers of this API.
REMOTE_BUSY = _kind(
    "remote_busy", 429, "The server that runs this model asks to slow down.",
    "Try again in a minute, or choose a variant that runs here.", 60,
)  # fmt: skip
REMOTE_FAULT = _kind(
    "remote_fault", 502, "The server that runs this model has a fault.",
    "Try again, or choose a variant that runs here.",
)  # fmt: skip
REMOTE_REFUSED = _kind(
    "remote_refused", 400, "The server that runs this model refused the question.",
    "Change the question or the image.",
)  # fmt: skip
REMOTE_REVISION = _kind(
    "remote_revision", 502, "The server that runs this model has another revision than the one pinned.",
    "Choose a variant that runs here; an admin has to look at it.",
)  # fmt: skip
REMOTE_TWICE = _kind(
    "remote_twice", 400, "A server asks for another one that answers by a third.",
    "Ask for a model that the server runs itself.",
)  # fmt: skip
REMOTE_UNAUTHORISED = _kind(
    "remote_unauthorised", 502, "The server that runs this model did not accept this server's key.",
    "Choose a variant that runs here; an admin has to set the key.",
)  # fmt: skip
REMOTE_UNREACHABLE = _kind(
    "remote_unreachable", 503, "The server that runs this model cannot be reached.",
    "Choose a variant that runs here, or try again.", 30,
)  # fmt: skip

# Of admins' commands.
BAD_REMOTE = _kind(
    "bad_remote", 400, "That server cannot be added.", "Read the message.", is_of_api=False
)
BAD_CHECKPOINT = _kind(
    "bad_checkpoint",
    400,
    "The checkpoint cannot be used.",
    "Give the folder of a published checkpoint, with its tokenizer.json.",
    is_of_api=False,
)
MODEL_TOO_LARGE = _kind(
    "model_too_large", 400, "The model does not fit this machine.",
    "Free some, take a smaller model (moondream-0.5b), or let another machine answer: a cloud variant "
    "(MOONDREAM_API_KEY), or another server's API (`models remote ADDRESS`).", is_of_api=False,
)  # fmt: skip
HUB_UNREACHABLE = _kind(
    "hub_unreachable", 400, "The model hub cannot be reached.", "Fetch the files, then add them.",
    is_of_api=False,
)  # fmt: skip
