"""Fine-tunes, their runs, data, checkpoints, steps, and what clients ask of them."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from ulid import ULID

from inference.engine.tuning.names import VENDOR_FILE
from inference.engine.tuning.plan import LAYERS
from inference.models import Variant


def new_id() -> str:
    """A ULID, as Moondream's own ids are."""
    return str(ULID())


class Finetune(models.Model):
    """An adapter of one base model, and how far it is trained."""

    class Visibility(models.TextChoices):
        PRIVATE = "private", "Only you"
        LINK = "link", "Whoever has its name"
        PUBLIC = "public", "Everybody: it is listed"

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True,
        related_name="finetunes",
    )  # fmt: skip
    owner_key = models.CharField(
        max_length=64, blank=True, help_text="Of a caller without an account."
    )
    name = models.CharField(max_length=80)
    rank = models.PositiveSmallIntegerField()
    layers = models.CharField(
        max_length=8, default="text", choices=[(name, name) for name in LAYERS],
        help_text="Layers of the text blocks that are adapted.",
    )  # fmt: skip
    regions = models.BooleanField(default=False, help_text="The heads that say places are adapted.")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="finetunes")
    base_name = models.CharField(max_length=120)
    base_revision = models.CharField(max_length=80)
    base_precision = models.CharField(max_length=8, help_text='"full", "int8" or "nf4".')
    seed = models.PositiveBigIntegerField(default=0)
    by_client = models.BooleanField(
        default=False, help_text="A client owns the loop, rather than a run of this server."
    )
    step = models.PositiveIntegerField(default=0, help_text="Steps that are trained and stored.")
    head = models.ForeignKey(
        "tuning.Checkpoint", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    fence = models.PositiveBigIntegerField(
        default=0, help_text="Rises with each worker that takes it: an earlier one writes no more."
    )
    visibility = models.CharField(
        max_length=8, choices=Visibility.choices, default=Visibility.PRIVATE
    )
    card = models.TextField(
        blank=True, help_text="What it was tuned for, on what, and where it fails."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[Any]] = ["id"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                condition=models.Q(by_client=True, deleted_at=None),
                name="finetune_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    def model_name(self, step: int) -> str:
        """What a checkpoint is called where a model is named."""
        return f"{self.variant.slug}/{self.id}@{step}"


class Checkpoint(models.Model):
    """An adapter as it was after a step, in the private storage."""

    finetune = models.ForeignKey(Finetune, on_delete=models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    folder = models.CharField(max_length=120, unique=True)
    files = models.JSONField(default=dict, help_text="Bytes by name.")
    is_kept = models.BooleanField(
        default=False, help_text="Asked for; others are there to go on from, and replaced."
    )
    has_state = models.BooleanField(
        default=True, help_text="The optimiser's state is there: training can go on from it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[Any]] = ["finetune", "step"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["finetune", "step"], name="checkpoint_step")
        ]

    def __str__(self) -> str:
        return f"{self.finetune_id}@{self.step}"

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())

    @property
    def has_vendor_file(self) -> bool:
        """Whether Moondream's own code can read it."""
        return VENDOR_FILE in self.files


class StepRecord(models.Model):
    """What one step did; pages show it long after its stream is gone."""

    finetune = models.ForeignKey(Finetune, on_delete=models.CASCADE, related_name="steps")
    step = models.PositiveIntegerField()
    metrics = models.JSONField(default=dict)
    rollouts = models.JSONField(default=list, blank=True, help_text="Groups with their answers.")
    logged = models.JSONField(default=dict, blank=True, help_text="What a client logged.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[Any]] = ["finetune", "step"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["finetune", "step"], name="step_once")
        ]

    def __str__(self) -> str:
        return f"{self.finetune_id}, step {self.step}"


class TuningUpload(models.Model):
    """A data set that somebody sent; nobody else reads it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    owner_key = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=120)
    file = models.CharField(max_length=120, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    rows = models.PositiveIntegerField()
    images = models.PositiveIntegerField()
    skills = models.JSONField(default=dict, help_text="Examples by skill.")
    notes = models.JSONField(default=list)
    text_only = models.PositiveIntegerField(default=0, help_text="Examples without an image.")
    has_targets = models.BooleanField(default=False)
    has_references = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.rows} rows)"


class TuningRun(models.Model):
    """A training that this server does, from being asked for to its end."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Wish(models.TextChoices):
        NONE = ""
        PAUSE = "pause"
        CANCEL = "cancel"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    finetune = models.OneToOneField(Finetune, on_delete=models.CASCADE, related_name="run")
    title = models.CharField(max_length=80)
    plan = models.JSONField(help_text="See inference.engine.tuning.plan.")
    reward = models.JSONField(null=True, blank=True, help_text="A reward document; none of sft.")
    data = models.JSONField(help_text='{"source": …, and what that source needs}')
    upload = models.ForeignKey(
        TuningUpload, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    wish = models.CharField(max_length=8, choices=Wish.choices, default=Wish.NONE, blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    attempt = models.PositiveSmallIntegerField(
        default=0, help_text="Workers lost since the last stored step."
    )
    turn = models.PositiveIntegerField(
        default=0, help_text="Of the message that is under way: an earlier one does nothing."
    )
    measured = models.JSONField(
        default=dict, blank=True, help_text="On held-out examples, before and after."
    )
    worker = models.CharField(max_length=120, blank=True)
    limit_s = models.PositiveIntegerField(help_text="Seconds of work.")
    spent_s = models.FloatField(default=0)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    advanced_at = models.DateTimeField(null=True, blank=True, help_text="Last sign of progress.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[Any]] = ["-created_at"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["status", "created_at"], name="tuningrun_status")
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.id})"

    @property
    def is_finished(self) -> bool:
        return self.status in (self.Status.SUCCEEDED, self.Status.FAILED, self.Status.CANCELLED)


class Operation(models.Model):
    """One call of a client that a worker answers: samples, or a training step."""

    class Kind(models.TextChoices):
        ROLLOUTS = "rollouts"
        TRAIN_STEP = "train_step"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    finetune = models.ForeignKey(Finetune, on_delete=models.CASCADE, related_name="operations")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was asked.")
    request = models.CharField(max_length=120, help_text="Its file in the private storage.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    step = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of a training step: the one it was."
    )
    answer = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[Any]] = ["created_at"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["finetune", "digest"], name="operation_digest"),
            models.Index(fields=["status", "created_at"], name="operation_status"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def is_finished(self) -> bool:
        return self.status in (self.Status.SUCCEEDED, self.Status.FAILED)
