"""Starter content: real facts with their sources; what only illustrates is marked a sample.

Loading again makes what is missing, brings newer texts to what nobody has touched, and changes nothing
else (`research.starter.loading`).
"""

import hashlib
import io
import json
import random
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import Page, Site

from inference.world.samples import SAMPLE_DIR, SAMPLES
from inference.world.shelf import GLYPH_LICENCE
from leaderboard import services as leaderboard
from leaderboard.models import Benchmark
from pricing import services as pricing
from research.models import (
    Author,
    BasePage,
    ChallengePage,
    ChallengesPage,
    DatasetPage,
    DatasetsPage,
    DocsArticlePage,
    DocsPage,
    DocsSectionPage,
    HomePage,
    LegalPage,
    NotebookPage,
    NotebooksPage,
    PaperBoard,
    PaperPage,
    PaperSection,
    PapersPage,
    ReleasePage,
    ReleasesPage,
    ResearchPage,
    RoadmapItemPage,
    RoadmapPage,
)
from research.selectors import CARD_PICTURE
from research.starter import docs, news, site
from research.starter.groups import groups_make
from research.starter.loading import Loaded, Loader, is_as_given, touched

HERE = Path(__file__).parent
NOTEBOOKS = Path(settings.BASE_DIR) / "notebooks"
SHELVES: list[tuple[type[BasePage], dict[str, str]]] = [
    (PapersPage, {"slug": "papers", "title": "Papers", "headline": "The papers behind each part.",
                  "lede": "What the model is built on and measured by: a summary in our words, sections to link to, and a citation in four forms."}),
    (NotebooksPage, {"slug": "notebooks", "title": "Notebooks", "headline": "Notebooks that run.",
                     "lede": "Each was run from top to bottom against a server like this one before it was listed."}),
    (DatasetsPage, {"slug": "datasets", "title": "Datasets", "headline": "What is measured on what.",
                    "lede": "Our own drawn scenes to download, and the public sets with their licences."}),
    (ChallengesPage, {"slug": "challenges", "title": "Challenges", "headline": "A question, a metric, a date.",
                      "lede": "Each stands on a leaderboard: join with your team, submit predictions, and see where you stand; a hidden split ranks in the end."}),
    (ReleasesPage, {"slug": "releases", "title": "Release notes", "headline": "What changed, in which revision.",
                    "lede": "Releases of the model as its makers report them, and of this site."}),
    (RoadmapPage, {"slug": "roadmap", "title": "Roadmap", "headline": "Research, alpha, production.",
                   "lede": "Each card says on which day it reached its stage."}),
]  # fmt: skip


def _without(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k not in names}


@transaction.atomic
def starter_load(*, base_url: str, dev_scenes: int = 120) -> Loaded:
    """Make what is missing, correct what nobody touched; what an editor changed is left.

    Args:
        dev_scenes: how many scenes the development split to download has.
    """
    load = Loader()
    home = HomePage.objects.first()
    if home is None:
        root = Page.get_first_root_node()
        # Wagtail's own placeholder sits on our slug and owns the default site.
        Page.objects.filter(depth=2, slug="home", content_type__model="page").delete()
        root.refresh_from_db()
        home = load.child(root, HomePage, "home", show_in_menus=False, **site.HOME)
    if not Site.objects.filter(is_default_site=True).exists():
        host, _, port = base_url.split("//", 1)[1].partition(":")
        Site.objects.create(
            hostname=host, port=int(port or 80), root_page=home, is_default_site=True,
            site_name="Moondream hub",
        )  # fmt: skip
    for entry in site.PAGES:
        load.child(home, entry["type"], entry["slug"], **_without(entry, "type", "slug"))
    research = load.child(
        home, ResearchPage, "research", title="Research", accent="purple",
        headline="Numbers anyone can check.",
        lede="Papers to cite, notebooks to run, datasets to download, and what changed when.",
    )  # fmt: skip
    shelves = {
        fields["slug"]: load.child(
            research, kind, fields["slug"], accent="purple", **_without(fields, "slug")
        )
        for kind, fields in SHELVES
    }  # fmt: skip
    papers = _papers(load, shelves["papers"])
    notebooks = _notebooks(load, shelves["notebooks"])
    _datasets(load, shelves["datasets"], dev_scenes)
    pricing.plans_load()
    pricing.prices_load()
    leaderboard.reported_load()
    leaderboard.references_reseal()  # after an upgrade; what cannot be opened waits for its key
    leaderboard.world_load(dev=min(10, dev_scenes), test=min(25, 2 * dev_scenes))
    _news(load, shelves, papers)
    _docs(load, DocsPage.objects.child_of(home).first())
    _legal(load, home)
    home.refresh_from_db()  # its count of children was read before it had any
    load.offer(home, "root/home", **site.HOME, body=_home_body(papers, notebooks))
    leaderboard.prompts_load()
    leaderboard.tables_make()  # no worker may be there yet
    _paper_boards(load, papers)
    load.publish()
    load.navigation(Site.objects.get(is_default_site=True), site.NAVIGATION, site.FOOTER)
    groups_make()
    return load.loaded


def _papers(load: Loader, shelf: Page) -> dict[str, PaperPage]:
    found = {}
    for entry in json.loads((HERE / "papers.json").read_text()):
        fields = _without(entry, "authors", "sections", "tags", "slug")
        fields["published_on"] = date.fromisoformat(fields["published_on"])
        found[entry["slug"]] = load.child(
            shelf, PaperPage, entry["slug"], accent="purple", tags=entry["tags"],
            authors=[Author(name=name) for name in entry["authors"]],
            sections=[PaperSection(**section) for section in entry["sections"]], **fields,
        )  # fmt: skip
    report = _report(load, shelf)
    if report:
        found[report.slug] = report
    return found


REPORT = HERE / "report"


def _report(load: Loader, shelf: Page) -> PaperPage | None:
    """The technical report on the embedded model; `manage.py write_report` made its files."""
    if not (REPORT / "report.json").exists():
        return None
    about = json.loads((REPORT / "report.json").read_text())
    title = "A small vision-language model trained on drawn scenes"
    slug = "embedded-model"
    raw = (REPORT / f"{slug}.pdf").read_bytes()
    page: PaperPage = load.child(
        shelf, PaperPage, slug, accent="purple", kind=PaperPage.Kind.REPORT, title=title,
        abstract=about["abstract"], published_on=date.fromisoformat(about["published_on"]),
        venue="Moondream hub", licence="CC-BY-4.0", pdf=_document(title, f"{slug}.pdf", raw),
        tags=["this project", "vision encoder", "localisation"],
        authors=[Author(name="Moondream hub", is_group=True)],
        sections=[PaperSection(**section) for section in about["sections"]],
    )  # fmt: skip
    return page


def _document(title: str, name: str, raw: bytes) -> Any:
    """A file as a document of the CMS; made once."""
    model = get_document_model()
    known = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    found = model.objects.filter(title=title, file_hash=known).first()
    return found or model.objects.create(
        title=title, file=ContentFile(raw, name=name), file_hash=known
    )


def _paper_boards(load: Loader, papers: dict[str, PaperPage]) -> None:
    """Papers and their leaderboards; not where a person has saved the paper's page."""
    own = {b.slug: b for b in Benchmark.objects.all()}
    for slug, rows in site.PAPER_BOARDS.items():
        page = papers.get(slug)
        if page is None or page.boards.exists() or touched(page):
            continue
        page.boards.set([
            PaperBoard(sort_order=n, benchmark=own.get(of), reported="" if of in own else of, note=note)
            for n, (of, note) in enumerate(rows)
        ])  # fmt: skip
        page.save()
        if not load.is_new(page):
            page.save_revision().publish()


def _image(title: str, description: str, file: Path, *shown: str) -> Any:
    """A file as an image of the CMS, with the sizes that pages show it in; made once."""
    model = get_image_model()
    found = model.objects.filter(title=title).first()
    if found is None:
        content = ContentFile(file.read_bytes(), name=file.name)
        found = model(title=title, description=description, file=content)
        found.save()
        # The first reader need not wait, nor meet a storage that is away.
        found.get_renditions(*shown)
    return found


def _picture(slug: str) -> Any:
    """A sample scene."""
    sample = next(s for s in SAMPLES if s.slug == slug)
    return _image(f"Sample scene: {slug}", sample.alt, SAMPLE_DIR / sample.file_name)


PICTURES = {
    "scenes": "Nine drawn scenes: shapes with signs, a retail shelf, a metal plate and a synthetic phantom",
    "attention": "A scene in the dark, lit where the model looked: at the purple star it was asked about",
    "levels": "The weights of one layer as a histogram, and the sixteen values that four bits leave",
    "caption": "The playground with a caption of a scene, its timings and its confidence",
    "playground": "The playground with two boxes around the stars of a scene",
    "rewards": "The reward builder: terms with weights, and answers ranked by their total",
    "leaderboards": "The list of leaderboards",
    "browser": "The playground on a phone with a caption that the browser itself made",
}
"""Those beside this file, by name, and what they show: `bench.pictures` drew the first three, the others
are screenshots."""


def _own_picture(name: str) -> Any:
    """A picture of the starter content."""
    file = HERE / "pictures" / f"{name}.webp"
    shown = (CARD_PICTURE, "width-1280|format-webp")
    return _image(f"Starter: {name}", PICTURES[name], file, *shown)


def _notebooks(load: Loader, shelf: Page) -> dict[str, NotebookPage]:
    found = {}
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        about = json.loads(file.read_text())["metadata"]["hub"]
        page = load.child(
            shelf, NotebookPage, about["slug"], accent="purple", title=about["title"],
            lede=about["lede"], published_on=date.fromisoformat(about["published_on"]),
            file=ContentFile(file.read_bytes(), name=file.name),
            source_path=f"notebooks/{file.name}", thumbnail=_picture(about["sample"]),
            tags=about["tags"],
        )  # fmt: skip
        found[about["slug"]] = page
    return found


def dev_split(count: int = 120) -> bytes:
    """The drawn world's development split as a zip: images, and `scenes.jsonl` with references."""
    from inference.world import DOMAINS, LENGTHS, caption, questions, render

    out = io.BytesIO()
    lines = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            name = list(DOMAINS)[number % len(DOMAINS)]
            rng = random.Random(f"dev:{number}")
            scene = DOMAINS[name].sample(rng)
            picture = io.BytesIO()
            render(scene).save(picture, "WEBP", quality=88)
            file = f"images/{number:03}-{name}.webp"
            archive.writestr(_entry(file), picture.getvalue())
            lines.append(
                {
                    "id": f"{number:03}", "image": file, "domain": name,
                    "captions": {length: caption(scene, length) for length in LENGTHS},
                    "questions": [
                        {"kind": q.kind, "question": q.question, "answer": q.answer, "point": q.point}
                        for q in questions(scene, rng)
                    ],
                    "objects": [
                        {"name": o.phrase, "box": [round(v, 4) for v in o.box], "text": o.text if o.is_sign else ""}
                        for o in scene.objects
                    ],
                }
            )  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        archive.writestr(_entry("scenes.jsonl"), text)
        archive.writestr(_entry("LICENSE.txt"), GLYPH_LICENCE.read_text())
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed date: the same split is the same file."""
    info = zipfile.ZipInfo(name, (2026, 11, 24, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _datasets(load: Loader, shelf: Page, dev_scenes: int) -> None:
    for entry in news.DATASETS:
        is_drawn = entry["slug"] == "drawn-world"
        page = load.child(
            shelf, DatasetPage, entry["slug"], accent="purple",
            first={"items": dev_scenes} if is_drawn else None, **_without(entry, "slug"),
        )  # fmt: skip
        if load.is_new(page) and is_drawn:
            raw = dev_split(dev_scenes)
            page.file = get_document_model().objects.create(
                title="Drawn world, development split",
                file=ContentFile(raw, name="drawn-world-dev.zip"),
            )
            page.size_bytes = len(raw)
            page.thumbnail = _picture(
                "shelf" if any(s.slug == "shelf" for s in SAMPLES) else "night"
            )
            page.save()


def _news(load: Loader, shelves: dict[str, Any], papers: dict[str, PaperPage]) -> None:
    for entry in news.RELEASES:
        fields = _without(entry, "slug", "paper")
        fields["paper"] = papers.get(entry.get("paper", ""))
        load.child(shelves["releases"], ReleasePage, entry["slug"], accent="purple", **fields)
    for entry in news.ROADMAP:
        fields = _without(entry, "slug", "picture")
        fields["picture"] = _own_picture(entry["picture"])
        load.child(shelves["roadmap"], RoadmapItemPage, entry["slug"], accent="purple", **fields)
    for entry in news.CHALLENGES:
        _challenge(load, shelves["challenges"], entry)


def _challenge(load: Loader, shelf: Page, entry: dict[str, Any]) -> None:
    """A challenge and its page. One that an earlier version made without a challenge, and nobody
    has touched, gets one."""
    found = ChallengePage.objects.child_of(shelf).filter(slug=entry["slug"]).first()
    challenge = found.challenge if found else None
    if challenge is None and (found is None or is_as_given(found)):
        challenge = leaderboard.challenge_sample(
            slug=entry["slug"], title=entry["title"], summary=entry["lede"], on=entry["on"],
            days=entry["days"],
        )  # fmt: skip
    fields = _without(entry, "slug", "on", "days")
    load.child(shelf, ChallengePage, entry["slug"], accent="purple", challenge=challenge, **fields)


def _docs(load: Loader, root: Any) -> None:
    if root is None:
        return
    for chapter in docs.CHAPTERS:
        section = load.child(
            root, DocsSectionPage, chapter["slug"], title=chapter["title"], lede=chapter["lede"],
            accent="amber",
        )  # fmt: skip
        for article in chapter["articles"]:
            load.child(
                section, DocsArticlePage, article["slug"], title=article["title"],
                lede=article["lede"], body=article["body"], accent="amber",
            )  # fmt: skip


def _legal(load: Loader, home: Page) -> None:
    load.child(
        home, LegalPage, "licences", title="Licences", accent="slate", show_in_menus=False,
        effective_on=date(2026, 11, 24), body=site.LICENCES,
    )  # fmt: skip
    load.child(
        home, LegalPage, "privacy", title="Privacy", accent="slate", show_in_menus=False,
        effective_on=date(2026, 11, 24), body=site.PRIVACY,
    )  # fmt: skip


def _home_body(papers: dict[str, PaperPage], notebooks: dict[str, NotebookPage]) -> list[Any]:
    slugs = {s.slug for s in SAMPLES}
    body = []
    for kind, value in site.HOME_BODY:
        filled = dict(value)
        if kind == "pipeline":
            filled["stages"] = [_stage(stage, papers, notebooks) for stage in site.STAGES]
        if kind == "domains":
            filled["domains"] = [d for d in site.DOMAINS if d["sample"] in slugs]
            if not filled["domains"]:
                continue
        body.append((kind, filled))
    return body


def _stage(
    stage: dict[str, Any], papers: dict[str, PaperPage], notebooks: dict[str, NotebookPage]
) -> dict[str, Any]:
    """A stage of the pipeline with its pages in the place of their slugs."""
    sources = (papers.get(stage["paper"]), notebooks.get(stage["notebook"]))
    picture = _own_picture(stage["picture"])
    picture.contextual_alt_text, picture.decorative = picture.description, False
    return _without(stage, "paper", "notebook", "picture") | {
        "sources": [page for page in sources if page],
        "picture": picture,
    }
