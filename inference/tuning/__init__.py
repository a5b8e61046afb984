"""Fine-tunes: runs on workers, their data and checkpoints, and the tuning API (Django's side)."""

QUEUE = "train"
"""Of the workers that train: no question waits behind a training."""
