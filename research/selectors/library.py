"""Reads of what editors publish: shelves, the hub, the roadmap, counts."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.paginator import Page as PaginatorPage
from django.core.paginator import Paginator
from django.db.models import (
    CharField,
    Count,
    DateTimeField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    prefetch_related_objects,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, ExtractYear, JSONObject, Now
from django.http import HttpRequest
from django.utils.html import strip_tags
from django.utils.text import Truncator
from wagtail.images import get_image_model
from wagtail.models import Page, Revision, Site

from inference import page_cache
from inference.errors import Busy
from leaderboard import selectors as leaderboard
from research import formulas
from research import notebooks as reading
from research.selectors import searching
from research.selectors.readable import barred, in_time, readable

if TYPE_CHECKING:
    from research.models import NotebookPage, PaperPage, ShelfPage

log = logging.getLogger(__name__)
PAGE_SIZE = 12
MAX_QUERY = 200
"""Characters: an address of a DOI made of a SICI has more than a hundred."""


_BREAK = re.compile(r"</?(?:address|blockquote|br|div|h[1-6]|hr|li|ol|p|pre|t[dhr]|ul)\b", re.I)


def plain(html: str, length: int) -> str:
    """The text of some HTML, its entities read, shortened at a word. Only what breaks a line parts
    words: the name in `Q<b>LoRA</b>` is one."""
    text = formulas.as_text(unescape(strip_tags(_BREAK.sub(lambda tag: f" {tag[0]}", html))))
    return Truncator(" ".join(text.split())).chars(length)


def _model(name: str) -> Any:
    """Models import selectors for their contexts, so selectors find models by name."""
    return apps.get_model("research", name)


def words(asked: str) -> str:
    """What somebody searches for, as the database takes it."""
    return asked.replace("\0", "").strip()[:MAX_QUERY]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of a list, and the filters it was made with."""

    items: PaginatorPage
    total: int
    query: str
    tag: str
    year: str
    tags: list[str]
    years: list[int]

    @property
    def filtered(self) -> bool:
        return bool(self.query or self.tag or self.year)

    @property
    def kept(self) -> str:
        """The filters as the beginning of a query string."""
        return "".join(f"{urlencode({k: v})}&" for k, v in self._filters.items())

    @property
    def fields(self) -> dict[str, str]:
        """The query fields this list was made from: those that name something that is there."""
        number = self.items.number
        return {**self._filters, **({"page": str(number)} if number > 1 else {})}

    @property
    def _filters(self) -> dict[str, str]:
        filters = {"q": self.query, "tag": self.tag, "year": self.year}
        return {name: value for name, value in filters.items() if value}


def shelf(
    model: Any, page: "ShelfPage", asked: Mapping[str, str], request: HttpRequest | None = None
) -> Shelf:
    """The items under a shelf, newest first; `q` searches, `tag` and `year` filter."""
    if asked.get("q"):
        return _shelf(model, page, asked, request)
    fields = tuple(asked.get(name, "") for name in ("tag", "year", "page"))
    return page_cache.remember(
        ("shelf", page.pk, barred(request), *fields), lambda: _shelf(model, page, asked, request),
        worth=lambda found: found.fields == {n: v for n, v in asked.items() if v and n != "q"},
    )  # fmt: skip


def _shelf(
    model: Any, page: "ShelfPage", asked: Mapping[str, str], request: HttpRequest | None
) -> Shelf:
    date_field = model.date_field
    everything: Any = readable(model.objects.child_of(page), request)
    years = list(
        everything.annotate(year=ExtractYear(date_field))
        .values_list("year", flat=True)
        .order_by("-year")
        .distinct()
    )
    through = model.tags.through
    tags = list(
        through.objects.filter(content_object__in=everything)
        .values_list("tag__name", flat=True)
        .order_by("tag__name")
        .distinct()
    )
    query = words(asked.get("q", ""))
    tag = asked.get("tag", "") if asked.get("tag", "") in tags else ""
    year = asked.get("year", "") if asked.get("year", "") in map(str, years) else ""
    found = everything
    if tag:
        found = found.filter(
            pk__in=through.objects.filter(tag__name=tag).values("content_object_id")
        )
    if year:
        found = found.filter(**{f"{date_field}__year": int(year)})
    if query:
        found = found.filter(pk__in=searching.search(query, everything).ids)
    found = _with_challenge(found)
    pages = Paginator(_with_details(found.order_by(f"-{date_field}", "title")), PAGE_SIZE)
    shown = pages.get_page(asked.get("page"))
    shown.object_list = _with_leaders(shown.object_list)
    return Shelf(shown, pages.count, query, tag, year, tags, years)


_COUNTED = {"papers": "PaperPage", "notebooks": "NotebookPage", "datasets": "DatasetPage"}


def _count(name: str) -> Any:
    """A subquery: how many items of a model are published; samples are not counted."""
    model = _model(name)
    live = readable(model.objects.order_by())
    if hasattr(model, "is_sample"):
        live = live.filter(is_sample=False)
    # Grouping by a constant makes it one row; no item makes it none.
    one = live.annotate(one=Value(1)).values("one").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(one), 0)


SITE_NAME = "Moondream hub"
"""What a site without a name of its own is called."""


@dataclass(frozen=True, slots=True)
class Chrome:
    """The header's and footer's content."""

    links: list[Any] = field(default_factory=list)
    more: list[Any] = field(default_factory=list)
    """Links of the footer only."""
    announcement: str = ""
    announcement_link: str = ""
    footer_text: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    """How many papers, notebooks, datasets and leaderboards are published."""
    github_url: str = ""
    github_stars: int | None = None
    github_stars_on: date | None = None
    source_repository: str = ""
    source_ref: str = ""
    site_name: str = SITE_NAME
    texts: Any = field(default_factory=lambda: _model("SiteTexts")())
    """Words that editors may change (`SiteTexts`)."""

    def colab_of(self, path: str) -> str:
        """Where a notebook of the site's repository opens in Colab; empty while that is not named."""
        return self._of(reading.colab_url, path)

    def binder_of(self, path: str) -> str:
        """Likewise in Binder."""
        return self._of(reading.binder_url, path)

    def _of(self, address: Callable[[str, str, str], str], path: str) -> str:
        if not (self.source_repository and path):
            return ""
        return address(self.source_repository, self.source_ref or "main", path)

    @property
    def colab(self) -> str:
        """Where the first notebook opens: in Colab, or the gallery while the repository is not named."""
        return self.colab_of("notebooks/ask_caption_detect_point.ipynb") or "/research/notebooks/"


def chrome(site: Site) -> Chrome:
    """What surrounds every page of a site; one query."""
    return page_cache.remember(("chrome", site.pk), lambda: _chrome(site))


def _chrome(site: Site) -> Chrome:
    rows = list(
        _model("NavigationLink")
        .objects.filter(navigation__site=site, navigation__live=True)
        .select_related("navigation__site__sitetexts")
        .annotate(**{key: _count(name) for key, name in _COUNTED.items()})
        .annotate(leaderboards=leaderboard.board_count(), announced=Subquery(_announced(site)))
    )
    name = site.site_name or SITE_NAME
    if not rows:
        return Chrome(site_name=name, texts=site_texts(site))
    of, announced = rows[0].navigation, rows[0].announced or {"text": "", "link": ""}
    texts = getattr(of.site, "sitetexts", None) or _model("SiteTexts")()
    return Chrome(
        [r for r in rows if r.place == "header"],
        [r for r in rows if r.place == "footer"],
        announced["text"], announced["link"], of.footer_text,
        {key: getattr(rows[0], key) for key in (*_COUNTED, "leaderboards")},
        of.github_url, of.github_stars, of.github_stars_on, of.source_repository,
        of.source_ref, name, texts,
    )  # fmt: skip


def _announced(site: Site) -> QuerySet[Any]:
    """What the bar says: the latest announcement whose time it is. One that was scheduled begins at its
    moment, though the task that publishes it comes some seconds later."""
    model = _model("Announcement")
    due = Revision.objects.filter(
        content_type=ContentType.objects.get_for_model(model),
        object_id=Cast(OuterRef("pk"), CharField()), approved_go_live_at__lte=Now(),
    )  # fmt: skip
    shown = model.objects.filter(site=site).annotate(
        due=Subquery(due.values("content")[:1]), begun=Subquery(due.values("approved_go_live_at")[:1])
    )  # fmt: skip
    ends = Cast(KT("due__expire_at"), DateTimeField())
    scheduled = Q(begun__isnull=False) & (Q(ends=None) | Q(ends__gt=Now()))
    shown = shown.annotate(ends=ends).filter(scheduled | Q(in_time(), begun=None, live=True))
    newest = shown.order_by(Coalesce("begun", "last_published_at").desc(nulls_last=True), "-pk")
    told = JSONObject(
        text=Coalesce(KT("due__text"), "text"), link=Coalesce(KT("due__link"), "link")
    )
    found: QuerySet[Any] = newest.values(told=told)[:1]
    return found


def site_texts(site: Site) -> Any:
    """The words an editor chose for a site, or those it begins with; one query."""
    model = _model("SiteTexts")
    return model.objects.filter(site=site).first() or model(site=site)


def site_name(request: HttpRequest) -> str:
    """What the site of a request is called; no query where a page is made."""
    site = Site.find_for_request(request)
    return (site.site_name if site else "") or SITE_NAME


def _with_details(items: QuerySet[Any]) -> QuerySet[Any]:
    """The items with what their cards show, in few queries."""
    if hasattr(items.model, "tags"):
        through = items.model.tags.through.objects.select_related("tag")
        items = items.prefetch_related(Prefetch("tagged_items", through))
    if hasattr(items.model, "authors"):
        items = items.prefetch_related("authors")
    if hasattr(items.model, "pdf"):
        items = items.select_related("pdf")
    if hasattr(items.model, "thumbnail"):
        items = items.select_related("thumbnail").prefetch_related("thumbnail__renditions")
    return items


def _with_challenge(items: QuerySet[Any]) -> QuerySet[Any]:
    """Pages of challenges with what they stand for, which says their state."""
    return items.select_related("challenge") if hasattr(items.model, "challenge") else items


def _with_leaders(items: Iterable[Any]) -> list[Any]:
    """Challenges with who leads each, in one query; other items as they are."""
    pages = list(items)
    ids = {page.pk: page.challenge_id for page in pages if getattr(page, "challenge_id", None)}
    found = leaderboard.leaders(ids.values()) if ids else {}
    for page in pages:
        if page.pk in ids:
            page.leaders = found.get(ids[page.pk], [])
    return pages


def latest(model: str, count: int, *, details: bool = False) -> list[Any]:
    """The newest published items of a model; with `details`, with what their cards show."""
    found = _with_challenge(_newest(model))
    return _with_leaders((_with_details(found) if details else found)[:count])


def appeared(models: Iterable[str], count: int) -> list[Any]:
    """The published items of some models that came to this site last, newest first: by the day they
    were published here, whatever day a paper itself has."""
    kinds = ContentType.objects.get_for_models(*map(_model, models)).values()
    # A page that was made as published, without a revision, has no such day: it comes last.
    came = Coalesce("first_published_at", "last_published_at", "latest_revision_created_at")
    found = readable(Page.objects.filter(content_type__in=kinds))
    return list(found.order_by(came.desc(nulls_last=True), "-pk").specific()[:count])


def teaser(papers: int = 3, notebooks: int = 3, challenges: int = 2) -> dict[str, list[Any]]:
    """The newest of three shelves for the front page, challenges with who leads them; two queries."""
    counts = (papers, notebooks, challenges)
    return page_cache.remember(("teaser", *counts), lambda: _teaser(*counts))


def _teaser(papers: int, notebooks: int, challenges: int) -> dict[str, list[Any]]:
    wanted = {"PaperPage": papers, "NotebookPage": notebooks, "ChallengePage": challenges}
    newest = Q()
    for name, count in wanted.items():
        newest |= Q(pk__in=_newest(name).values("pk")[:count])
    joined = ("paperpage", "notebookpage", "challengepage__challenge")
    pages = list(Page.objects.filter(newest).select_related(*joined))

    def of(name: str) -> list[Any]:
        found = [getattr(p, name.lower()) for p in pages if hasattr(p, name.lower())]
        day = _model(name).date_field
        return sorted(
            sorted(found, key=lambda p: p.title), key=lambda p: getattr(p, day), reverse=True
        )

    return {
        "papers": of("PaperPage"),
        "notebooks": of("NotebookPage"),
        "challenges": _with_leaders(of("ChallengePage")),
    }


def _newest(model: str) -> QuerySet[Any]:
    of = _model(model)
    found: QuerySet[Any] = readable(of.objects.order_by(f"-{of.date_field}", "title"))
    return found


def research_hub() -> dict[str, Any]:
    """What the hub shows: the newest of each shelf."""
    return page_cache.remember("hub", _research_hub)


def _research_hub() -> dict[str, Any]:
    return {
        "papers": latest("PaperPage", 4, details=True),
        "notebooks": latest("NotebookPage", 3, details=True),
        "datasets": latest("DatasetPage", 3, details=True),
        "releases": latest("ReleasePage", 3),
        "challenges": latest("ChallengePage", 3),
    }


CARD_PICTURE = "fill-640x400|format-webp"
"""As templates ask for it."""


def pictures_prefetch(images: Iterable[Any | None]) -> None:
    """What pages show of images that a block's rows chose, in one query for all of them."""
    found = [image for image in images if image is not None]
    renditions = get_image_model().get_rendition_model().objects.filter(filter_spec=CARD_PICTURE)
    shown = Prefetch("renditions", renditions, to_attr="prefetched_renditions")
    prefetch_related_objects(found, shown)


def roadmap() -> list[dict[str, Any]]:
    """The three columns, each with its cards: what reached the stage last comes first."""
    return page_cache.remember("roadmap", _roadmap)


def _roadmap() -> list[dict[str, Any]]:
    model = _model("RoadmapItemPage")
    items = list(readable(model.objects.select_related("picture")))
    pictures_prefetch(item.picture for item in items)
    return [
        {
            "stage": stage,
            "label": label,
            "cards": sorted(
                (i for i in items if i.stage == stage),
                key=lambda i: getattr(i, f"{stage}_on") or date.min,
                reverse=True,
            ),
        }
        for stage, label in model.Stage.choices
    ]


@dataclass(frozen=True, slots=True)
class RelatedBoard:
    """A leaderboard on a paper's page: who leads it, with which figure, and where that is from."""

    title: str
    url: str
    note: str
    leader: str = ""
    figure: str = ""
    """Empty while nobody leads."""
    metric: str = ""
    provenance: str = ""
    source: str = ""
    source_url: str = ""


def _related_boards(rows: list[Any]) -> list[RelatedBoard]:
    """A paper's leaderboards in the editors' order; no query where there is none, else three."""
    named = tuple((row.benchmark_id, row.reported, row.note) for row in rows)
    return page_cache.remember(("boards", named), lambda: _boards_of(rows)) if rows else []


def _boards_of(rows: list[Any]) -> list[RelatedBoard]:
    own = [row.benchmark_id for row in rows if row.benchmark_id]
    names = [row.reported for row in rows if row.reported]
    boards = {b.benchmark.pk: b for b in leaderboard.boards(own)} if own else {}
    charts = {c.benchmark: c for c in leaderboard.reported(names)} if names else {}
    found = []
    for row in rows:
        if row.benchmark_id in boards:
            found.append(_own_board(boards[row.benchmark_id], row.note))
        elif row.reported in charts:
            found.append(_reported_board(charts[row.reported], row.note))
    return found


def _own_board(board: leaderboard.Board, note: str) -> RelatedBoard:
    title, url = board.benchmark.title, board.benchmark.get_absolute_url()
    if board.first is None or board.cell is None:
        return RelatedBoard(title, url, note)
    metric = board.cell.metric
    return RelatedBoard(
        title, url, note, " ".join(filter(None, (board.first.model_name, board.first.precision))),
        f"{board.cell.text} {metric.unit}".strip(), metric.name, board.first.provenance,
    )  # fmt: skip


def _reported_board(chart: leaderboard.Chart, note: str) -> RelatedBoard:
    best = chart.bars[0]
    return RelatedBoard(
        chart.benchmark, "/leaderboards/#reported", note, best.model,
        f"{best.text} {chart.unit}".strip(), chart.metric, chart.provenance, *best.source,
    )  # fmt: skip


def papers_of(benchmark: Any) -> list[Any]:
    """The published papers that a leaderboard belongs to; one query."""
    return page_cache.remember(("papers", benchmark.pk), lambda: _papers_of(benchmark))


def _papers_of(benchmark: Any) -> list[Any]:
    papers = readable(_model("PaperPage").objects.filter(boards__benchmark=benchmark))
    return list(papers.order_by("-published_on", "title").distinct())


@dataclass(frozen=True, slots=True)
class PaperView:
    """A paper's page: everything beside its own fields, fetched once."""

    authors: list[Any]
    sections: list[Any]
    versions: list[Any]
    releases: list[Any]
    notebooks: list[Any]
    datasets: list[Any]
    tags: list[str]
    pdf: str
    boards: list["RelatedBoard"]

    @property
    def anchors(self) -> list[tuple[Any, str]]:
        """Each section with its address in the PDF, empty where the page is not known."""
        return [
            (s, f"{self.pdf}#page={s.page}" if self.pdf and s.page else "") for s in self.sections
        ]


def paper(page: "PaperPage") -> PaperView:
    """What the page of a paper shows; citations and meta tags then read the same rows."""
    relations: tuple[Any, ...] = (page.authors, page.sections, page.versions)
    for relation in relations:
        relation.get_object_list()
    related = [
        *page.notebooks.all(),
        *page.datasets.all(),
        *(page.releases.all() if page.pk else ()),
    ]
    shown = _readable_of(related)
    newest = sorted(shown, key=lambda p: getattr(p, "published_on", date.min), reverse=True)
    return PaperView(
        list(page.authors.all()),
        list(page.sections.all()),
        sorted(page.versions.all(), key=lambda v: v.published_on, reverse=True),
        [p for p in newest if isinstance(p, _model("ReleasePage"))],
        [p for p in shown if isinstance(p, _model("NotebookPage"))],
        [p for p in shown if isinstance(p, _model("DatasetPage"))],
        sorted(tag.name for tag in page.tags.all()),
        page.pdf_link,
        _related_boards(list(page.boards.all())),
    )


def _readable_of(pages: list[Any]) -> list[Any]:
    """Those of some pages that every reader may see; no query where there is none."""
    ids = frozenset(page.pk for page in pages)
    if not ids:
        return []
    told = readable(Page.objects.filter(pk__in=ids)).values_list("pk", flat=True)
    kept = page_cache.remember(("readable", ids), lambda: frozenset(told))
    return [page for page in pages if page.pk in kept]


@dataclass(frozen=True, slots=True)
class NotebookView:
    """A notebook's page."""

    cells: list[reading.Cell]
    last_run: Any


def notebook(page: "NotebookPage") -> NotebookView:
    """What the page of a notebook shows; a damaged file shows no cells, whatever is wrong with it."""
    try:
        with page.file.open("rb") as file:
            cells = reading.rendered(reading.read_notebook(file.read(reading.MAX_BYTES + 1)))
    except (FileNotFoundError, ValueError):
        cells = []
    except Busy:
        raise  # the page is not kept without its cells
    except Exception:  # a file from before it was checked as it is now
        log.exception("The notebook of page %s cannot be shown", page.pk)
        cells = []
    return NotebookView(cells, page.runs.first() if page.pk else None)


Tree = list[dict[str, Any]]


def docs_tree(root: Page | None = None, request: HttpRequest | None = None) -> Tree:
    """The documentation's chapters and articles, in the editors' order."""
    return page_cache.remember(
        ("docs", root.pk if root else None, barred(request)), lambda: _docs_tree(root, request)
    )


def _docs_tree(root: Page | None, request: HttpRequest | None) -> Tree:
    root = root or readable(_model("DocsPage").objects.all(), request).first()
    if root is None:
        return []
    pages = list(
        readable(Page.objects.descendant_of(root), request).order_by("path").only(
            "title", "path", "depth", "url_path", "slug", "live", "content_type"
        )
    )  # fmt: skip
    tree: Tree = []
    for page in pages:
        node = {"page": page, "children": []}
        if page.depth == root.depth + 1:
            tree.append(node)
        elif tree:
            tree[-1]["children"].append(node)
    return tree


def docs_neighbours(page: Page, tree: Tree) -> tuple[Page | None, Page | None]:
    """The articles before and after one, in reading order."""
    flat = [n["page"] for top in tree for n in ([top] if not top["children"] else top["children"])]
    ids = [p.pk for p in flat]
    if page.pk not in ids:
        return None, None
    at = ids.index(page.pk)
    return (flat[at - 1] if at else None), (flat[at + 1] if at + 1 < len(flat) else None)
