"""Variants of the model, stored images, and jobs."""

import uuid

from django.db import models


class Skill(models.TextChoices):
    CAPTION = "caption"
    QUERY = "query"
    DETECT = "detect"
    POINT = "point"


class Variant(models.Model):
    """One way to run one model: weights, revision and precision."""

    class Quantization(models.TextChoices):
        NONE = "", "None"
        INT8 = "int8", "8-bit"
        NF4 = "nf4", "4-bit"

    slug = models.SlugField(unique=True, max_length=80)
    name = models.CharField(max_length=120)
    model_name = models.CharField(max_length=120)
    revision = models.CharField(max_length=80)
    quantization = models.CharField(max_length=8, choices=Quantization.choices, blank=True)
    dtype = models.CharField(max_length=16, default="auto")
    folder = models.CharField(max_length=400)
    backend = models.CharField(max_length=20, default="engine")
    queue = models.CharField(max_length=40, default="cpu")
    is_default = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    world = models.TextField(blank=True, help_text="What it knows, said honestly to a visitor.")
    source = models.CharField(
        max_length=400, blank=True, help_text="Where the weights came from: a repository or a path."
    )
    licence = models.CharField(max_length=80, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the weights' files.")
    lacks = models.JSONField(
        default=list,
        blank=True,
        help_text='Abilities it was not trained for: "reasoning", "text_only".',
    )
    # Measured by a worker when it loads the variant.
    parameters = models.BigIntegerField(null=True, blank=True)
    weight_bytes = models.BigIntegerField(null=True, blank=True)
    loaded_dtype = models.CharField(max_length=16, blank=True)
    load_ms = models.FloatField(null=True, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-is_default", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=models.Q(is_default=True),
                name="one_default_variant",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def precision(self) -> str:
        """What really runs: "8-bit", "4-bit", or the floating type ("BF16")."""
        if self.backend in ("cloud", "remote"):
            return "remote"
        return self.precision_at(self.loaded_dtype)

    def precision_at(self, dtype: str) -> str:
        """The same when what is not quantised is held as `dtype`."""
        if self.quantization:
            return self.get_quantization_display()
        return {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}.get(dtype, "FP16")


def model_name(variant: Variant, adapter: str = "") -> str:
    """What a client names a variant, or an adapter of it (`finetune@step`), by."""
    return f"{variant.slug}/{adapter}" if adapter else variant.slug


class RemoteServer(models.Model):
    """Another server of this API, of which one model is a variant here."""

    name = models.CharField(max_length=80, unique=True, help_text="What its variant is called.")
    address = models.CharField(
        max_length=200, help_text="Where its API begins, as in http://localhost:2020/v1."
    )
    model = models.CharField(
        max_length=80, blank=True, help_text="Which of its models; empty for its default."
    )
    pinned = models.CharField(
        "pinned revision", max_length=80, blank=True,
        help_text="Answer by this revision alone; empty for whichever it has, which is noted.",
    )  # fmt: skip
    sealed_key = models.CharField(max_length=1000, blank=True, editable=False)
    variant = models.OneToOneField(
        Variant, null=True, editable=False, on_delete=models.CASCADE, related_name="remote"
    )
    checked_at = models.DateTimeField("looked at", null=True, editable=False)

    class Meta:
        verbose_name = "remote server"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        """Whether one is kept; it is never shown."""
        return bool(self.sealed_key)


class VariantMeasurement(models.Model):
    """What a variant, or an adapter of it, cost and scored on one machine at one time; kept, never
    overwritten."""

    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="measurements")
    adapter = models.CharField(
        max_length=40, blank=True, help_text="finetune@step; empty: the variant itself."
    )
    revision = models.CharField(max_length=80)
    measured_at = models.DateTimeField(auto_now_add=True)
    hardware = models.CharField(max_length=200)
    device = models.CharField(max_length=20)
    threads = models.PositiveSmallIntegerField()
    dtype = models.CharField(max_length=16)
    weight_bytes = models.BigIntegerField()
    peak_bytes = models.BigIntegerField()
    load_ms = models.FloatField()
    encode_ms = models.FloatField()
    first_token_ms = models.FloatField(help_text="After the image is encoded.")
    tokens_per_s = models.FloatField()
    scores = models.JSONField(default=dict, blank=True, help_text="On held-out world scenes.")

    class Meta:
        ordering = ["-measured_at"]
        indexes = [
            models.Index(fields=["variant", "adapter", "-measured_at"], name="variant_measured")
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.hardware}, {self.measured_at:%Y-%m-%d}"

    @property
    def model_name(self) -> str:
        """What was measured, as a client names it."""
        return model_name(self.variant, self.adapter)

    @property
    def precision(self) -> str:
        """As it ran when it was measured."""
        return self.variant.precision_at(self.dtype)

    @property
    def caption_seconds(self) -> float:
        """Seconds of the machine for one image with a caption of 24 tokens, by its parts."""
        return (self.encode_ms + self.first_token_ms) / 1000 + 24 / self.tokens_per_s

    @property
    def vqa_percent(self) -> float | None:
        """Share of held-out questions answered rightly, 0..100."""
        return 100 * self.scores["vqa"] if "vqa" in self.scores else None


class StoredImage(models.Model):
    """An uploaded image, normalised, addressed by what it holds. Kept for a while, not public."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    extension = models.CharField(max_length=5)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.sha256[:12]

    @property
    def file_name(self) -> str:
        return f"{self.sha256[:2]}/{self.sha256}.{self.extension}"


class JobQuerySet(models.QuerySet["Job"]):
    def unfinished(self) -> "JobQuerySet":
        return self.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])


class Job(models.Model):
    """One question to one variant, from being asked to its end."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    skill = models.CharField(max_length=10, choices=Skill.choices)
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="jobs")
    adapter = models.CharField(
        max_length=40, blank=True, help_text="finetune@step; empty: the variant itself."
    )
    revision = models.CharField(
        max_length=80, blank=True, help_text="Of the variant's weights when it was asked."
    )
    image = models.ForeignKey(
        StoredImage, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    image_sha256 = models.CharField(max_length=64, blank=True)
    params = models.JSONField(default=dict, blank=True)
    caller = models.CharField(max_length=20)
    owner_key = models.CharField(max_length=64, blank=True)
    idempotency_key = models.CharField(max_length=128, blank=True)
    in_background = models.BooleanField(default=False, help_text="Everybody else's come first.")
    is_kept = models.BooleanField(
        default=False, help_text="Somebody saved it: it and its image are not purged by age."
    )
    is_metered = models.BooleanField(
        default=False, help_text="Something is reserved for it: its end settles or releases that."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    result = models.JSONField(null=True, blank=True)
    timings = models.JSONField(default=dict, blank=True)
    confidence = models.FloatField(null=True, blank=True)
    outside_world = models.BooleanField(
        null=True, blank=True, help_text="The image is unlike all that the model was trained on."
    )
    tokens = models.JSONField(default=dict, blank=True)
    finish_reason = models.CharField(max_length=10, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["status", "created_at"], name="job_status_created"),
            models.Index(
                fields=["owner_key"], condition=models.Q(is_kept=True), name="job_kept_of"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["caller", "owner_key", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="job_idempotency",
            )
        ]

    def __str__(self) -> str:
        return f"{self.skill} {self.id}"

    @property
    def model_name(self) -> str:
        """What is asked, as a client names it: the variant, or an adapter of it."""
        return model_name(self.variant, self.adapter)

    @property
    def is_finished(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)
