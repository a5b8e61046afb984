"""Of saved sessions (`inference.personal`)."""

import secrets
from typing import Any

from inference import images
from inference import services as inference
from inference.models import Job
from inference.personal import Archive, PersonalData, Rule, counted, register, rows_of
from playground.comparison.services import voter_of
from playground.models import Comparison, GuidedProject, Preference, Run, Session, Share
from playground.sessions import services as sessions
from playground.sessions.visitor import Visitor


class SessionData(PersonalData):
    title = "Playground"
    rules = {"playground.Session.owner": Rule.DELETE}

    def export(self, user: Any, archive: Archive) -> None:
        """Sessions with each question and answer, links, comparisons, preferences, guided projects and
        images."""
        own = Session.objects.filter(owner=user)
        archive.json(
            "playground/sessions",
            rows_of(own, "id", "name", "forked_from", "created_at", "used_at"),
        )
        runs = Run.objects.filter(session__owner=user)
        archive.json("playground/runs", rows_of(
            runs, "id", "session", "comparison", "job", "job__skill", "job__variant__slug", "job__adapter",
            "job__params", "job__status", "job__result", "job__timings", "job__tokens", "job__confidence",
            "image_name", "sample", "job__image_sha256", "is_measurement", "revision", "precision", "created_at",
        ))  # fmt: skip
        archive.json("playground/links", rows_of(
            Share.objects.filter(run__session__owner=user),
            "token", "run", "comparison", "created_at", "expires_at", "revoked_at",
        ))  # fmt: skip
        archive.json("playground/comparisons", rows_of(
            Comparison.objects.filter(session__owner=user),
            "id", "session", "reference", "group", "is_blind", "named_at", "created_at",
        ))  # fmt: skip
        archive.json("playground/preferences", rows_of(
            Preference.objects.filter(voter=voter_of(Visitor(user))),
            "comparison", "left", "right", "outcome", "created_at",
        ))  # fmt: skip
        projects = GuidedProject.objects.filter(session__owner=user)
        archive.json("playground/guided", rows_of(
            projects, "id", "session", "image_name", "sample", "reference", "aim", "reward", "training",
            "share_token", "created_at", "used_at",
        ))  # fmt: skip
        shown = Job.objects.filter(playground_runs__session__owner=user, image__isnull=False)
        named = shown.values_list("image__sha256", "image__extension").order_by().distinct()
        for sha256, extension in named.union(
            projects.filter(image__isnull=False).values_list("image__sha256", "image__extension")
        ):
            try:
                content = images.stored_bytes(f"{sha256[:2]}/{sha256}.{extension}")
            except FileNotFoundError:  # purged: nothing is kept of it
                continue
            archive.file(f"playground/images/{sha256}.{extension}", content)

    def deleted(self, user: Any) -> list[str]:
        own = Session.objects.filter(owner=user)
        links = Share.objects.open().filter(run__session__owner=user).count()
        return counted(
            (own.count(), "playground session with its questions, answers and images",
             "playground sessions with their questions, answers and images"),
            (links, "shared link, which shows nothing any more", "shared links, which show nothing any more"),
        )  # fmt: skip

    def kept(self, user: Any) -> list[str]:
        count = Preference.objects.filter(voter=voter_of(Visitor(user))).count()
        return counted(
            (count, "choice between two models, counted without question or person",
             "choices between two models, counted without question or person"),
        )  # fmt: skip

    def stop(self, user: Any) -> None:
        mine = Job.objects.unfinished().filter(playground_runs__session__owner=user)
        for job_id in set(mine.values_list("pk", flat=True)):
            inference.job_cancel(job_id=job_id)

    def erase(self, user: Any) -> None:
        jobs = Job.objects.filter(playground_runs__session__owner=user).exclude(image_id=None)
        of_projects = GuidedProject.objects.filter(session__owner=user).exclude(image=None)
        shown = set(jobs.values_list("image_id", flat=True)) | set(of_projects.values_list("image_id", flat=True))  # fmt: skip
        sessions.sessions_erase(user=user)
        elsewhere = GuidedProject.objects.filter(image__in=shown).values_list("image_id", flat=True)
        inference.images_forget(ids=shown - set(elsewhere))
        # One number for all of them: a question still counts once.
        Preference.objects.filter(voter=voter_of(Visitor(user))).update(voter=secrets.token_hex(32))


register(SessionData())
