"""Of fine-tunes, runs and data sets (`inference.personal`)."""

from typing import Any

from django.db.models import F

from inference.personal import Archive, PersonalData, Rule, counted, register, rows_of
from inference.tuning import files, services
from inference.tuning.models import Checkpoint, Finetune, StepRecord, TuningRun, TuningUpload


class TuningData(PersonalData):
    title = "Tuned models"
    rules = {
        "tuning.Finetune.owner": Rule.DELETE,
        "tuning.TuningUpload.owner": Rule.DELETE,
    }

    def export(self, user: Any, archive: Archive) -> None:
        """Runs with plan, reward and steps, data sets as they were sent, and what checkpoints there are: these
        are downloaded from their pages."""
        archive.json("tuning/finetunes", rows_of(
            Finetune.objects.filter(owner=user),
            "id", "name", "rank", "layers", "regions", "base_name", "base_revision", "base_precision", "seed",
            "step", "visibility", "card", "created_at", "updated_at", "deleted_at",
        ))  # fmt: skip
        archive.json("tuning/runs", rows_of(
            TuningRun.objects.filter(finetune__owner=user),
            "id", "finetune", "title", "plan", "reward", "data", "upload", "status", "finish_reason", "error_code",
            "error_message", "measured", "spent_s", "created_at", "started_at", "finished_at",
        ))  # fmt: skip
        archive.json("tuning/checkpoints", rows_of(
            Checkpoint.objects.filter(finetune__owner=user), "finetune", "step", "files", "created_at"
        ))  # fmt: skip
        for finetune in Finetune.objects.filter(owner=user, steps__isnull=False).distinct():
            steps = StepRecord.objects.filter(finetune=finetune)
            archive.json(
                f"tuning/steps/{finetune.pk}",
                rows_of(steps, "step", "metrics", "rollouts", "logged", "created_at"),
            )
        uploads = TuningUpload.objects.filter(owner=user)
        archive.json("tuning/data_sets", rows_of(
            uploads, "id", "name", "size_bytes", "rows", "images", "skills", "created_at"
        ))  # fmt: skip
        for upload in uploads.order_by("pk"):
            try:
                source = files.private().open(upload.file)
            except FileNotFoundError:
                continue
            with source:
                archive.stream(f"tuning/data_sets/{upload.pk}", source.chunks())

    def deleted(self, user: Any) -> list[str]:
        mine = Finetune.objects.filter(owner=user, deleted_at=None)
        uploads = TuningUpload.objects.filter(owner=user).count()
        return counted(
            (mine.count(), "tuned model with its run and checkpoints", "tuned models with their runs and checkpoints"),
            (uploads, "data set", "data sets"),
        )  # fmt: skip

    def stop(self, user: Any) -> None:
        mine = TuningRun.objects.filter(finetune__owner=user, finished_at=None)
        for run in mine.exclude(wish=TuningRun.Wish.CANCEL):
            services.run_cancel(run=run)

    def erase(self, user: Any) -> None:
        for run in TuningRun.objects.filter(finetune__owner=user):
            services.run_delete(run=run)
        # Whoever trains one still finds another fence, and writes nothing.
        Finetune.objects.filter(owner=user).update(fence=F("fence") + 1)
        Finetune.objects.filter(owner=user).delete()
        TuningUpload.objects.filter(owner=user).delete()


register(TuningData())
