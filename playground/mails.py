"""Mails of the playground (`pricing.mails`)."""

from pricing.mails import MailKind

RUN_ENDED = MailKind(
    "tuning_run_ended", "A tuning run of an account has ended",
    "[Moondream hub] {title}: {state}",
    "Your tuning run “{title}” has ended: {state}.\n\n{reason}\n\nIts figures, answers and checkpoints "
    "are here:\n\n{link}\n",
    {
        "title": ("The run's name", "Counting shapes"),
        "state": ("How it ended: finished, failed or cancelled", "finished"),
        "reason": ("Why, where there is something to say; may be empty", "All steps are trained."),
        "link": ("The run's page", "https://hub.example.org/playground/tuning/0/"),
    },
)  # fmt: skip
