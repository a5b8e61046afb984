"""What visitors save: sessions of runs, and links that show a run to others."""

import secrets
from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from ulid import ULID

from inference.models import Job, StoredImage
from inference.tuning.models import TuningRun


def _new_id() -> str:
    return str(ULID())


class Session(models.Model):
    """Runs that belong together, as the playground's visitor left them."""

    id = models.CharField(primary_key=True, max_length=26, default=_new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    visitor = models.CharField(
        max_length=64,
        blank=True,
        help_text="SHA-256 of a cookie's token, where there is no account.",
    )
    name = models.CharField(
        max_length=120, blank=True, help_text="Empty: what its first run asked."
    )
    forked_from = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="forks"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-used_at"], name="session_of_owner"),
            models.Index(fields=["visitor", "-used_at"], name="session_of_visitor"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(owner=None) ^ Q(visitor=""), name="session_has_one_owner"
            )
        ]

    def __str__(self) -> str:
        return self.name or f"Session {self.pk}"


class Comparison(models.Model):
    """One question to several models, to be looked at side by side."""

    id = models.CharField(primary_key=True, max_length=26, default=_new_id, editable=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="comparisons")
    reference = models.TextField(
        blank=True, help_text="What is right; answers are scored against it."
    )
    group = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="members",
        help_text="The first of those that ask the same of several images; None: itself, or it is alone.",
    )  # fmt: skip
    is_blind = models.BooleanField(
        default=False,
        help_text="Models stand in an order by lot, without names until one is preferred.",
    )
    named_at = models.DateTimeField(
        null=True, blank=True, help_text="When the names of a blind one were shown."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Comparison {self.pk}"

    @property
    def is_hidden(self) -> bool:
        """Whether the models' names are not shown yet."""
        return self.is_blind and self.named_at is None


class RunQuerySet(models.QuerySet["Run"]):
    def listed(self) -> "RunQuerySet":
        """Those that a session's list shows."""
        return self.filter(is_measurement=False)


class Run(models.Model):
    """One question of a session, with what answered it; the answer is the job's."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="runs")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="playground_runs")
    comparison = models.ForeignKey(
        Comparison, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    image_name = models.CharField(max_length=120, blank=True)
    sample = models.CharField(max_length=40, blank=True, help_text="A drawn scene's name.")
    is_measurement = models.BooleanField(
        default=False, help_text="Asked to compare models; a session's list leaves it out."
    )
    revision = models.CharField(max_length=80, help_text="Of the weights, when it was asked.")
    precision = models.CharField(max_length=20)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["session", "job"], name="run_once_a_session")
        ]

    def __str__(self) -> str:
        return f"{self.job.skill} of {self.session_id}"


class Preference(models.Model):
    """Which of two models somebody preferred, without knowing which is which. A visitor's word about one
    question to one pair counts once."""

    class Outcome(models.TextChoices):
        LEFT = "left"
        RIGHT = "right"
        TIE = "tie"

    comparison = models.ForeignKey(
        Comparison, on_delete=models.SET_NULL, null=True, blank=True, related_name="preferences"
    )
    left = models.CharField(
        max_length=80, help_text="A variant's slug; it comes before the right one's."
    )
    right = models.CharField(max_length=80)
    outcome = models.CharField(max_length=5, choices=Outcome.choices)
    voter = models.CharField(
        max_length=64, help_text="SHA-256 of an account or of a cookie's token."
    )
    question = models.CharField(max_length=64, help_text="SHA-256 of image, skill and prompt.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["left", "right", "voter", "question"], name="preference_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.left} / {self.right}: {self.outcome}"


class ShareQuerySet(models.QuerySet["Share"]):
    def open(self) -> "ShareQuerySet":
        """Those that show something now."""
        now = timezone.now()
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class Share(models.Model):
    """A link that shows one run, or a comparison, to whoever has it, until it is revoked or its time is over."""

    token = models.CharField(
        unique=True, max_length=32, default=partial(secrets.token_urlsafe, 18), editable=False
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shares")
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, null=True, blank=True, related_name="shares",
        help_text="The whole of it is shown; the run is its first.",
    )  # fmt: skip
    is_grid = models.BooleanField(
        default=False, help_text="All images of the comparison's grid are shown."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"Link to run {self.run_id}"


class GuidedProject(models.Model):
    """A guided way from an image to a tuned model: what was chosen at each step, to go on from there.

    It belongs to whoever has its session, in which its questions are.
    """

    id = models.CharField(primary_key=True, max_length=26, default=_new_id, editable=False)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="projects")
    image = models.ForeignKey(
        StoredImage, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    image_name = models.CharField(max_length=120, blank=True)
    sample = models.CharField(max_length=40, blank=True, help_text="A drawn scene's name.")
    base_run = models.ForeignKey(
        Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="What the base model answered.",
    )  # fmt: skip
    reference = models.TextField(blank=True, help_text="What is right; answers are scored by it.")
    aim = models.CharField(max_length=40, blank=True, help_text="See playground.guided.aims.")
    reward = models.JSONField(null=True, blank=True, help_text="A reward document.")
    training = models.ForeignKey(
        TuningRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="projects"
    )
    tuned_run = models.ForeignKey(
        Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="What the tuned model answered to the same.",
    )  # fmt: skip
    share_token = models.CharField(
        max_length=32, unique=True, null=True, blank=True, editable=False,
        help_text="Of the link to its summary; none while it is not shared.",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-used_at"]

    def __str__(self) -> str:
        return f"Guided project {self.pk}"


class HeldOutScene(models.Model):
    """A drawn scene that was not trained on, asked of base and tuned model."""

    project = models.ForeignKey(GuidedProject, on_delete=models.CASCADE, related_name="scenes")
    number = models.PositiveSmallIntegerField()
    image_key = models.CharField(max_length=80, help_text="By which it is drawn again.")
    reference = models.JSONField(help_text="What a reward reads.")
    right = models.TextField(help_text="The right answer in words.")
    base_run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    tuned_run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="scene_once_a_project")
        ]

    def __str__(self) -> str:
        return f"Scene {self.number} of {self.project_id}"
