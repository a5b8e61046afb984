"""Reads of sessions, runs and links."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db.models import (
    Count,
    Exists,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Sum,
    TextField,
)
from django.db.models.functions import Cast
from django.urls import reverse

from inference import answering, images, social_card
from inference import selectors as inference
from inference.models import Job, StoredImage
from playground import errors
from playground.models import Run, RunQuerySet, Session, Share
from playground.sessions.visitor import Visitor

PER_PAGE = 24
_POINT_RADIUS = 0.012
"""Of a point in a picture, in parts of the image's sides."""
LINES = {"caption": "length", "query": "question", "detect": "object", "point": "object"}
"""What of a job's parameters is its prompt."""


@dataclass(frozen=True, slots=True)
class Box:
    """A found box, or a point as a small one, in thousandths of the image."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as pages show it."""

    run: Run

    @property
    def job(self) -> Job:
        return self.run.job

    @property
    def prompt(self) -> str:
        """What was asked: a question, an object, or a caption's length."""
        found: str = self.job.params.get(LINES[self.job.skill], "")
        return found

    @property
    def title(self) -> str:
        """The prompt as a heading."""
        return title_of_job(self.job)

    @property
    def text(self) -> str | None:
        """The answer in words; None for boxes and points, and before there is one."""
        return inference.answer_text(self.job.result or {})

    @property
    def regions(self) -> list[dict[str, float]]:
        """Boxes or points, in parts of the image's width and height."""
        result = self.job.result or {}
        found: list[dict[str, float]] = result.get("objects") or result.get("points") or []
        return found

    @property
    def answer(self) -> str:
        """The answer as one line."""
        if self.text is not None:
            return self.text
        if self.job.status != Job.Status.SUCCEEDED:
            return ""
        noun = "box" if self.job.skill == "detect" else "point"
        plural = "es" if noun == "box" else "s"
        count = len(self.regions)
        return f"{count or 'No'} {noun}{'' if count == 1 else plural} for “{self.prompt}”"

    @property
    def boxes(self) -> list[Box]:
        """Boxes to draw."""
        return [
            Box(
                1000 * r["x_min"], 1000 * r["y_min"],
                1000 * (r["x_max"] - r["x_min"]), 1000 * (r["y_max"] - r["y_min"]),
            )
            for r in self.regions if "x_min" in r
        ]  # fmt: skip

    @property
    def points(self) -> list[Box]:
        """Points to draw, as middles without a size."""
        return [Box(1000 * r["x"], 1000 * r["y"], 0, 0) for r in self.regions if "x" in r]

    @property
    def corners(self) -> list[social_card.Box]:
        """Boxes, and points as small ones, for a picture."""
        r = _POINT_RADIUS
        return [
            (p["x_min"], p["y_min"], p["x_max"], p["y_max"]) if "x_min" in p
            else (p["x"] - r, p["y"] - r, p["x"] + r, p["y"] + r)
            for p in self.regions
        ]  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that were asked for, by name."""
        return self.job.params.get("settings") or {}

    @property
    def image(self) -> StoredImage | None:
        return self.job.image

    @property
    def image_alt(self) -> str:
        """What the image is called."""
        return self.run.image_name or self.run.sample or "The image that was asked about"

    @property
    def is_running(self) -> bool:
        return not self.job.is_finished

    def data(self) -> dict[str, Any]:
        """What the playground's script needs to show it again."""
        return {
            "id": self.run.pk, "job": str(self.job.pk), "skill": self.job.skill, "prompt": self.prompt,
            "variant": self.job.model_name, "status": self.job.status, "sample": self.run.sample,
            "image": {
                "id": self.job.image_sha256, "name": self.image_alt,
                "url": reverse("playground:run_image", args=[self.run.pk]) if self.image else "",
            },
            "settings": self.settings, "answer": self.answer,
            "events_url": f"/v1/jobs/{self.job.pk}/events",
            "cancel_url": f"/v1/jobs/{self.job.pk}/cancel",
            "end": answering.terminal_event(self.job).data if self.job.is_finished else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in the list of them."""

    session: Session
    title: str
    count: int
    first: RunView | None
    last: RunView | None


def title_of_job(job: Job) -> str:
    """What a job asked, as a heading."""
    prompt: str = job.params.get(LINES[job.skill], "")
    if job.skill == "caption":
        return f"{(prompt or 'normal').capitalize()} caption"
    return prompt if job.skill == "query" else f"{job.get_skill_display()}: {prompt}"


def title_of(session: Session) -> str:
    """A session's name, or what its first run asked."""
    if session.name:
        return session.name
    first = session.runs.listed().select_related("job").first()
    return title_of_job(first.job)[:120] if first else "Empty session"


def _runs() -> RunQuerySet:
    shares = Prefetch("shares", Share.objects.open().filter(comparison=None), to_attr="open_shares")
    return Run.objects.select_related("job__variant", "job__image").prefetch_related(shares)


def sessions_page(
    visitor: Visitor, number: Any, search: str = ""
) -> tuple[Page[Any], list[SessionRow]]:
    """A visitor's sessions, the one used last first, in three queries."""
    sessions = Session.objects.filter(visitor.owns).order_by("-used_at", "pk")
    for word in search.split()[:8]:
        sessions = sessions.filter(Q(name__icontains=word) | Exists(_runs_with(word)))
    asked = Q(runs__is_measurement=False)
    sessions = sessions.annotate(
        count=Count("runs", filter=asked), first=Min("runs", filter=asked), last=Max("runs", filter=asked)
    )  # fmt: skip
    page = Paginator(sessions, PER_PAGE).get_page(number)
    found: list[Any] = list(page)  # with what was annotated
    ids = {pk for session in found for pk in (session.first, session.last) if pk}
    runs = {run.pk: RunView(run) for run in _runs().filter(pk__in=ids)}
    rows = []
    for session in found:
        first = runs.get(session.first)
        title = session.name or (first.title[:120] if first else "Empty session")
        rows.append(SessionRow(session, title, session.count, first, runs.get(session.last)))
    return page, rows


def _runs_with(word: str) -> QuerySet[Run]:
    """Runs of a session that ask or answer something with a word in it."""
    runs = Run.objects.filter(session=OuterRef("pk")).annotate(
        asked=Cast("job__params", TextField()), answered=Cast("job__result", TextField())
    )
    return runs.filter(
        Q(asked__icontains=word) | Q(answered__icontains=word) | Q(image_name__icontains=word)
        | Q(sample__icontains=word) | Q(job__variant__slug__icontains=word)
    )  # fmt: skip


def session_get(visitor: Visitor, session_id: str) -> Session:
    """
    Raises:
        NotFound: no such session, or another's.
    """
    session = Session.objects.filter(visitor.owns, pk=session_id).first()
    if session is None:
        raise errors.SESSION_NOT_FOUND()
    return session


def is_own(visitor: Visitor, session: Session) -> bool:
    """Whether a session is the visitor's."""
    return Session.objects.filter(visitor.owns, pk=session.pk).exists()


def runs_of(session: Session) -> list[RunView]:
    """A session's runs, the oldest first, without those that were asked to measure."""
    return [RunView(run) for run in _runs().listed().filter(session=session)]


def runs_named(ids: Collection[int]) -> dict[int, RunView]:
    """Runs by their number; one query, and one for their links."""
    return {run.pk: RunView(run) for run in _runs().filter(pk__in=ids)}


def run_get(visitor: Visitor, run_id: int) -> Run:
    """
    Raises:
        NotFound: no such run, or another's.
    """
    own = Session.objects.filter(visitor.owns)
    run = _runs().filter(pk=run_id, session__in=own).select_related("session").first()
    if run is None:
        raise errors.SESSION_NOT_FOUND()
    return run


def share_get(token: str) -> Share:
    """An open link, with its run.

    Raises:
        NotFound: there is none, it was revoked, or its time is over.
    """
    share = Share.objects.open().filter(token=token).select_related("run__job__variant", "run__job__image", "comparison__session").first()  # fmt: skip
    if share is None:
        raise errors.SHARE_NOT_FOUND()
    return share


def own_share_get(visitor: Visitor, token: str) -> Share:
    """A link to a run of the visitor's, open or not.

    Raises:
        NotFound: no such link, or to another's run.
    """
    own = Session.objects.filter(visitor.owns)
    share = Share.objects.filter(token=token, run__session__in=own).select_related("run").first()
    if share is None:
        raise errors.SHARE_NOT_FOUND()
    return share


def bytes_of(user: Any) -> int:
    """Bytes of images that an account's sessions hold, each image once."""
    held = Run.objects.filter(job__image=OuterRef("pk"), session__owner=user)
    images = StoredImage.objects.filter(Exists(held))
    return images.aggregate(size=Sum("size_bytes"))["size"] or 0


def card_of(view: RunView, site: str) -> bytes:
    """The picture that goes with a link to a run: PNG bytes, drawn once for each state of it."""
    key = f"run-card:{view.run.pk}:{view.job.status}:{site}"
    picture: bytes | None = cache.get(key)
    if picture is None:
        image = None
        with contextlib.suppress(FileNotFoundError):  # then it is words alone
            image = images.read(view.image.file_name) if view.image else None
        answer = view.answer or ("An answer is on its way." if view.is_running else "No answer.")
        picture = social_card.draw_answer(
            image, view.title, answer, f"{view.job.get_skill_display()} · {view.job.model_name}", site,
            view.corners,
        )  # fmt: skip
        cache.set(key, picture, 3600)
    return picture
