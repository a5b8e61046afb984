"""What goes wrong in the playground's own forms, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "playground", is_of_api=False)

TOO_LARGE = _kind("too_large", 413, "That is too much to score at once.", "Leave some answers out.")
PLACEHOLDER_LEFT = _kind(
    "placeholder_left", 400, "The prompt still holds a placeholder.", "Write what you ask in its place."
)  # fmt: skip
FLAT_REWARD = _kind(
    "flat_reward", 422, "Every sampled answer is worth the same, so there is nothing to learn.",
    "Raise the temperature, choose another reward, or let some steps teach first.",
)  # fmt: skip
SESSION_NOT_FOUND = _kind(
    "session_not_found", 404, "No such session.", "It was deleted, or is another visitor's."
)
SHARE_NOT_FOUND = _kind(
    "share_not_found", 404, "This link shows nothing any more.", "Ask whoever sent it for another."
)
SESSIONS_FULL = _kind(
    "sessions_full", 409, "Your saved sessions take all the room that they may.",
    "Delete some, or sign in for more room.",
)  # fmt: skip
BAD_EXPIRY = _kind("bad_expiry", 422, "A link lasts 1, 7 or 30 days, or has no end.", "Choose one of them.")  # fmt: skip
BAD_COMPARISON = _kind(
    "bad_comparison", 422, "Two to four models are compared.", "Choose as many, each once."
)
GRID_FULL = _kind("grid_full", 422, "At most 20 images are compared at once.", "Send the rest as another grid.")  # fmt: skip
NAMES_HIDDEN = _kind(
    "names_hidden", 409, "The models’ names are not shown yet.", "Say which you prefer, or show the names."
)  # fmt: skip
NO_PREFERENCE = _kind(
    "no_preference", 409, "Nothing can be preferred here.",
    "All have to be answered, and their names not be shown yet.",
)  # fmt: skip
COMPARISON_NOT_FOUND = _kind(
    "comparison_not_found", 404, "No such comparison.", "It was deleted, or is another visitor's."
)
PROJECT_NOT_FOUND = _kind(
    "project_not_found", 404, "No such guided project.", "It was deleted, or is another visitor's."
)
NO_TUNED_MODEL = _kind(
    "no_tuned_model", 409, "There is no trained model to compare.",
    "Train one, or wait until the training has ended.",
)  # fmt: skip
NOT_CHECKED = _kind(
    "not_checked", 409, "The reward was not tried on sampled answers yet.", "Check it first."
)
NO_AIM = _kind(
    "no_aim", 422, "That cannot be trained for here.", "Choose one of those on the page."
)
