"""Errors of the domain; the shell turns them into responses, once, in the reader's shape."""

from dataclasses import dataclass
from typing import Any


class DomainError(Exception):
    """Something the caller can understand and act on."""

    status = 400
    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        hint: str = "",
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.hint = hint
        self.extra = extra


class InvalidInput(DomainError):
    status, code = 400, "invalid_input"


class Unauthorised(DomainError):
    status, code = 401, "unauthorised"


class Forbidden(DomainError):
    status, code = 403, "forbidden"


class NotFound(DomainError):
    status, code = 404, "not_found"


class Conflict(DomainError):
    status, code = 409, "conflict"


class TooLarge(DomainError):
    status, code = 413, "too_large"


class Unsupported(DomainError):
    status, code = 415, "unsupported_media"


class Busy(DomainError):
    """Too much work waiting, or a part of the system is away: try again after `retry_after` s."""

    status, code = 429, "busy"

    def __init__(self, message: str, *, retry_after: int, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.retry_after = retry_after


def queue_away(
    message: str = "The job queue cannot be reached.", *, hint: str = "Try again in a moment."
) -> Busy:
    """What is told while the broker is away."""
    return Busy(message, retry_after=5, status=503, code="queue_unavailable", hint=hint)


class TimedOut(DomainError):
    status, code = 504, "timeout"


class JobFailed(DomainError):
    """The job ended without an answer."""

    status, code = 500, "internal_error"


@dataclass(frozen=True, slots=True)
class KnownError:
    """One error of the API, for those who handle it."""

    code: str
    status: int
    meaning: str
    remedy: str


CATALOGUE: tuple[KnownError, ...] = tuple(
    KnownError(*row)
    for row in (
        ("bad_card", 400, "What is said of the model is wrong.", "`field` names the field."),
        ("bad_image_url", 400, "`image_url` is no base64 data URL.", "Send data:image/…;base64,…"),
        ("bad_json", 400, "The body is not JSON.", "Check its quotes and braces."),
        ("bad_length", 400, "The caption's length is unknown.", "Use short, normal or long."),
        ("bad_idempotency_key", 400, "The Idempotency-Key cannot be kept.",
         "Send up to 128 characters, without NUL."),
        ("bad_predictions", 422, "A file of predictions is wrong.", "`lines` names the first ten."),
        ("bad_request", 400, "The request cannot be read.", "Check its form and its boundaries."),
        ("bad_settings", 400, "A setting is out of its range.", "See `settings` in the reference."),
        ("bad_spatial_refs", 400, "`spatial_refs` are not points or boxes in 0..1.",
         "Send [x, y] or [x_min, y_min, x_max, y_max]."),
        ("benchmark_closed", 403, "The leaderboard takes no submissions now.", "See its page."),
        ("body_too_large", 413, "The request is too large.", "Send at most 32 MB; as a form, 50 MB."),
        ("body_too_slow", 408, "The request took too long to arrive.", "Send less, or try again."),
        ("broken_image", 400, "The image cannot be decoded.", "Save it again as PNG or JPEG."),
        ("cancelled", 409, "The job was cancelled.", "Submit it again."),
        ("challenge_between_phases", 403, "No phase of the challenge takes submissions now.",
         "Its phases say when one does."),
        ("challenge_closed", 403, "The challenge is over.", "See its standings."),
        ("challenge_declined", 403, "The organisers declined your team.", "The hint is their reason."),
        ("challenge_disqualified", 403, "Your team is disqualified.", "The hint is their reason."),
        ("challenge_member_twice", 409, "A member is in the challenge with another team.",
         "One of the teams has to leave."),
        ("challenge_not_found", 404, "There is no such challenge.", "GET /api/challenges lists them."),
        ("challenge_not_joined", 403, "Your team has not joined the challenge.", "Join it first."),
        ("challenge_pending", 403, "Your team is not accepted yet.", "Wait for the organisers."),
        ("challenge_split", 400, "The phase takes predictions for another split.", "Leave `split` out."),
        ("challenge_upcoming", 403, "The challenge is not open yet.", "`opens_at` says when it is."),
        ("cloud_fault", 502, "The cloud variant failed.", "Try again, or choose another variant."),
        ("cloud_rate_limited", 429, "The cloud variant's own limit is reached.", "Wait, then try again."),
        ("cloud_refused", 400, "The cloud variant refused the request.", "Read its message."),
        ("cloud_unauthorised", 502, "The server's cloud key was refused.", "Tell an admin."),
        ("cloud_unreachable", 503, "The cloud variant cannot be reached.", "Choose another variant."),
        ("cloud_client_missing", 503, "The cloud client is not installed.", "Tell an admin."),
        ("database_unavailable", 503, "The database cannot be reached.", "Try again in a moment."),
        ("empty_image", 400, "The image has no bytes.", "Attach a file."),
        ("csrf", 403, "The page's token has expired.", "Reload the page."),
        ("entry_not_found", 404, "There is no such public entry.", "It may be private or withdrawn."),
        ("founder_stays", 403, "A team's founder cannot be taken out by others.", "They may leave."),
        ("idempotency_conflict", 409, "The idempotency key was used for another request.",
         "Use a new key for a new request."),
        ("image_gone", 410, "The stored image was deleted after its retention.", "Send it again."),
        ("image_required", 400, "This skill needs an image.", "Send `image_url` or a file."),
        ("image_shape", 400, "The image is too thin or too small.", "Send one of at least 8 px a side."),
        ("image_too_costly", 413, "The image takes too long, or too much memory, to read.",
         "Save it again as an ordinary PNG or JPEG."),
        ("images_busy", 503, "Too many images are being read.", "Wait for `Retry-After` seconds."),
        ("image_too_large", 413, "The image's file is too large.", "Send at most 20 MB."),
        ("internal_error", 500, "Something broke on our side.", "Try again; it is logged."),
        ("invalid_field", 422, "A field is missing or of the wrong type.", "`details.fields` names it."),
        ("job_not_found", 404, "There is no such job.", "Jobs are kept for a day."),
        ("invite_not_found", 404, "An invitation to a team has ended.", "Ask the team for a new one."),
        ("last_member", 409, "A team's last member cannot leave.", "Invite somebody first."),
        ("leaderboard_not_found", 404, "There is no such leaderboard.", "GET /api/leaderboards lists them."),
        ("member_not_found", 404, "There is no such member of your team.", "Its page lists them."),
        ("method_not_allowed", 405, "The address does not answer this method.", "See `Allow`."),
        ("mfa_required", 403, "The account of an admin needs a second step to sign in.",
         "Set it up in your account."),
        ("no_file", 415, "The predictions did not come as a file.", "Send multipart/form-data."),
        ("not_comparable", 404, "Two entries are of different splits.", "Compare those of one split."),
        ("not_your_job", 403, "Another caller asked for the job.", "Use the key, or the network, that asked."),
        ("not_your_team", 400, "You are in no team of that name.", "Your account lists your teams."),
        ("not_found", 404, "There is nothing at this address.", "See the reference."),
        ("predictions_too_large", 413, "A file of predictions is too large.", "Compress it with gzip."),
        ("question_required", 400, "A query needs a question.", "Send `question`."),
        ("queue_full", 429, "Too much is waiting.", "Wait for `Retry-After` seconds."),
        ("queue_slow", 503, "The oldest waiting job is too old.", "Wait for `Retry-After` seconds."),
        ("queue_unavailable", 503, "The queue cannot be reached.", "Try again in a moment."),
        ("quota_day", 403, "The team's submissions of today are used up.", "Wait for 00:00 UTC."),
        ("quota_total", 403, "The team's submissions to the split are used up.", "Use the public split."),
        ("references_preparing", 503, "A split's references are being laid out.", "Try again after Retry-After seconds."),
        ("rate_limited", 429, "Too many requests from this address or account.", "Wait for `Retry-After` seconds."),
        ("references_unavailable", 503, "A split's references cannot be opened.", "Tell an admin."),
        ("remote_image", 400, "Remote images are not fetched.", "Send the image's bytes."),
        ("rules_not_accepted", 400, "The challenge's rules were not accepted.", "Send `accept_rules`."),
        ("scoring_fault", 500, "Scoring failed on our side.", "The quota was given back; submit again."),
        ("scoring_timeout", 422, "Scoring took longer than its limit.", "Shorten the predictions."),
        ("split_hidden", 404, "Items of a hidden split are not shown.", "See the public split."),
        ("split_published", 403, "The split's references are public: it ranks nobody any more.",
         "Submit to the benchmark's other splits."),
        ("split_retired", 403, "The split was drawn anew.", "Submit to the one that took its place."),
        ("split_sealed", 403, "Until its final ranking a challenge alone has the split.",
         "Join the challenge."),
        ("split_not_found", 404, "There is no such split.", "The hint lists those there are."),
        ("stream_interrupted", 503, "The stream broke off on the server.",
         "Reconnect with `Last-Event-ID`."),
        ("streams_full", 503, "Too many streams are open.", "Wait for `Retry-After` seconds."),
        ("submission_not_found", 404, "There is no such submission of your teams.", "Check the key's account."),
        ("team_full", 409, "The team has as many members as it may.", "Somebody has to leave first."),
        ("team_not_found", 404, "There is no such team of yours.", "Your account lists your teams."),
        ("team_too_large", 403, "The team has more members than the challenge allows.",
         "`team_size` says how many."),
        ("timeout", 504, "The answer took too long.", "Ask for less, or try again."),
        ("too_many_pixels", 413, "The image has too many pixels.", "Send at most 65 million, or 260 million as JPEG."),
        ("too_many_streams", 429, "Your address has too many streams open.", "Close some of them."),
        ("too_many_waiting", 429, "You have too many jobs waiting.", "Let some finish first."),
        ("unauthorised", 401, "An API key is needed, or is not valid.", "Make one in your account."),
        ("unknown_sample", 400, "There is no such sample image.", "Send an image of yours."),
        ("unsupported_content_type", 415, "The body's type is not read here.", "Send application/json."),
        ("unsupported_image", 415, "The image's format is not read.", "Send JPEG, PNG or WebP."),
        ("unsupported_reasoning", 400, "The variant does not reason.", "Leave `reasoning` out."),
        ("unsupported_skill", 400, "The variant lacks this skill.", "Choose another variant."),
        ("variant_not_found", 404, "There is no such variant.", "The hint lists those there are."),
        ("wrong_scope", 403, "The key is not for this.", "Make one with the scope."),
        ("uploads_busy", 503, "Too many uploads are on their way.", "Wait for `Retry-After` seconds."),
        ("weights_damaged", 500, "Files of the variant's weights are missing or damaged.",
         "Choose another variant."),
        ("worker_lost", 500, "The worker was lost too often.", "Try again; it is logged."),
    )
)  # fmt: skip
"""Every code a client of the API can meet. A test compares it with the code that raises them."""
