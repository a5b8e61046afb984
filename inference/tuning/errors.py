"""What goes wrong with fine-tunes, declared once (`inference.errors`)."""

from functools import partial

from inference.errors import ErrorKind

_kind = partial(ErrorKind, "inference")

# What is asked for.
BAD_FINETUNE = _kind(
    "bad_finetune", 422, "The fine-tune cannot be made so: `fields` names what is wrong.",
    "Change these fields and try again.",
)  # fmt: skip
BAD_TUNING_DATA = _kind(
    "bad_tuning_data", 422, "The data set has faults: `lines` names them.",
    "Correct the lines and upload the file again.",
)  # fmt: skip
BAD_TUNING_REQUEST = _kind(
    "bad_tuning_request", 422, "A group, rollout or target cannot be used.",
    "See the message; hand rollouts back as they were given.",
)  # fmt: skip
TUNING_DATA_TOO_LARGE = _kind(
    "tuning_data_too_large", 413, "The data set's file is too large.", "Send fewer or smaller images."
)  # fmt: skip
FINETUNE_CONFLICT = _kind(
    "finetune_conflict", 409, "There is a fine-tune of this name with another rank or other layers.",
    "Choose another name, or the same rank and layers.",
)  # fmt: skip
FINETUNE_NOT_FOUND = _kind(
    "finetune_not_found", 404, "There is no such fine-tune.",
    "It may be deleted, or another account's. GET /v1/tuning/finetunes lists yours.",
)  # fmt: skip
CHECKPOINT_NOT_FOUND = _kind(
    "checkpoint_not_found", 404, "There is no such checkpoint.",
    "List the fine-tune's checkpoints; one that was not saved is replaced by the next step.",
)  # fmt: skip
NO_VENDOR_FILE = _kind(
    "no_vendor_file", 409, "Moondream's own files have no place for what this adapter changes.",
    "Download it in PEFT's format, or train one with the layers mlp or variant.",
)  # fmt: skip
NOTHING_TRAINED = _kind(
    "nothing_trained", 409, "Nothing was trained yet: there is nothing to save.",
    "Train a step first.",
)  # fmt: skip
ACCOUNT_NEEDED = _kind(
    "account_needed", 403, "Only an account publishes a tuned model.", "Sign in, and tune it again."
)
CARD_NEEDED = _kind(
    "card_needed", 422, "What everybody sees needs a card.",
    "Say what it was tuned for, on what, and where it fails.",
)  # fmt: skip
TUNING_RUN_NOT_FOUND = _kind(
    "tuning_run_not_found", 404, "There is no such tuning run.",
    "It may be deleted, or another caller's.",
)  # fmt: skip
TUNING_RUN_STATE = _kind(
    "tuning_run_state", 409, "The run's state does not allow this.", "Look at the run again."
)
STEP_CONFLICT = _kind(
    "step_conflict", 409, "The fine-tune is at another step.",
    "Read its step, and send the next one.",
)  # fmt: skip
TUNING_IMAGE_NOT_FOUND = _kind(
    "tuning_image_not_found", 404, "There is no such image.", "Its data set may be deleted."
)
TUNING_UPLOAD_NOT_FOUND = _kind(
    "tuning_upload_not_found", 404, "There is no such data set.",
    "It may be past its retention: upload it again.",
)  # fmt: skip

# How much.
TOO_MANY_FINETUNES = _kind(
    "too_many_finetunes", 409, "You have as many fine-tunes as there may be.", "Delete one."
)
TOO_MANY_RUNS = _kind(
    "too_many_runs", 429, "Too many of your tuning runs are under way.",
    "Wait for one, or cancel it.", 60,
)  # fmt: skip
TOO_MANY_TRIALS = _kind(
    "too_many_trials", 429, "Another check of yours is under way.", "Wait until it has ended.", 5
)
TUNING_BUSY = _kind(
    "tuning_busy", 503, "Too many trainings are waiting.", "Try again in a minute.", 30
)
TUNING_STORAGE_FULL = _kind(
    "tuning_storage_full", 409, "Your checkpoints and data sets take all the room that they may.",
    "Delete checkpoints or fine-tunes.",
)  # fmt: skip

# How it ends.
TUNING_BASE_CHANGED = _kind(
    "tuning_base_changed", 409, "The base model is not the one that this was trained on.",
    "Start a new fine-tune on the base as it is now.",
)  # fmt: skip
TRAINING_BROKE = _kind(
    "training_broke", 500, "The training broke off.", "Its last checkpoint is kept."
)
TRAINING_LOST = _kind(
    "training_lost", 500, "The worker was lost several times over.", "Its last checkpoint is kept."
)
TUNING_DISK_FULL = _kind(
    "tuning_disk_full", 503, "The file storage is full.",
    "The last checkpoint is kept; an admin has to make room.", 300,
)  # fmt: skip
