"""Writes: fine-tunes, runs, data sets, checkpoints, and what workers make of them."""

from inference.tuning.services.checkpoints import checkpoint_delete, checkpoint_keep
from inference.tuning.services.finetunes import (
    base_of,
    defaults_for,
    finetune_delete,
    finetune_get_or_make,
)
from inference.tuning.services.housekeeping import tuning_purge, tuning_rescue
from inference.tuning.services.metrics import metrics_log
from inference.tuning.services.operations import (
    operation_delivered,
    operation_run,
    rollouts_submit,
    train_step_submit,
)
from inference.tuning.services.owners import finetunes_adopt
from inference.tuning.services.runs import (
    Checked,
    run_cancel,
    run_check,
    run_delete,
    run_make,
    run_pause,
    run_resume,
)
from inference.tuning.services.sharing import finetune_share
from inference.tuning.services.training import run_advance
from inference.tuning.services.trials import SOFT_LIMIT_S as TRIAL_S
from inference.tuning.services.trials import Trial, trial_ask, trial_get, trial_name, trial_run
from inference.tuning.services.uploads import upload_delete, upload_make

__all__ = [
    "TRIAL_S", "Checked", "Trial", "base_of", "checkpoint_delete", "checkpoint_keep",
    "defaults_for", "finetune_delete", "finetune_get_or_make", "finetune_share", "finetunes_adopt", "metrics_log", "operation_delivered",
    "operation_run", "rollouts_submit", "run_advance", "run_cancel", "run_check", "run_delete",
    "run_make", "run_pause", "run_resume", "train_step_submit", "trial_ask", "trial_get", "trial_name",
    "trial_run", "tuning_purge", "tuning_rescue", "upload_delete", "upload_make",
]  # fmt: skip
