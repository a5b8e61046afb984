"""What the starter content was last loaded by."""

from django.db import models


class StarterLoad(models.Model):
    """The one row that says that migrations and starter content are complete; see `research.prepared`.

    It is taken away before anything is loaded and comes back when all of it is, so that a crash in
    between leaves none.
    """

    digest = models.CharField(max_length=64)
    migrations = models.CharField(max_length=32, help_text="Which ones the database then had.")
    loaded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.digest[:12]} {self.loaded_at:%Y-%m-%d %H:%M}"
