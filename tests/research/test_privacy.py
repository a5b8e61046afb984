"""Pages, documents and pictures that an editor restricts are gone for everybody else at once."""

import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from PIL import Image as Picture
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import (
    Collection,
    CollectionViewRestriction,
    Page,
    PageViewRestriction,
)

from research import selectors
from research.models import (
    DocsSectionPage,
    NotebookPage,
    PaperPage,
    PapersPage,
    ReleasePage,
    RoadmapItemPage,
    RoadmapPage,
)

pytestmark = pytest.mark.django_db
KINDS = ("login", "groups", "password")


def restrict(page: Page, kind: str = "login") -> PageViewRestriction:
    return PageViewRestriction.objects.create(page=page, restriction_type=kind, password="x")


LISTS = ("/", "/research/", "/research/papers/", "/research/notebooks/", "/docs/guides/", "/docs/api/",
         "/leaderboards/world-vqa/", "/research/papers/lora/", "/docs.md", "/sitemap.xml", "/llms.txt",
         "/feeds/all.rss", "/feeds/all.atom", "/feeds/papers.json")  # fmt: skip


def everywhere(client: Client, *more: str) -> Iterator[tuple[str, str]]:
    """Address and text of what tells an anonymous reader of pages."""
    for path in (*LISTS, *more):
        answer = client.get(path)
        if answer.status_code == 200:
            yield path, answer.getvalue().decode()


@pytest.mark.parametrize(
    ("model", "slug"),
    [(PaperPage, "qlora"), (NotebookPage, "reproduce-a-figure"), (DocsSectionPage, "guides")],
)  # fmt: skip
def test_a_restricted_page_is_named_nowhere(client, starter, model: Any, slug: str) -> None:
    page = model.objects.get(slug=slug)
    page.title = "Xylophone Quartz Manifesto"
    page.save_revision().publish()
    own = (page.url, f"{page.url.rstrip('/')}.md")
    found = [path for path, text in everywhere(client, *own) if page.title in text]
    assert page.url in found
    assert len(found) > 3  # lists, feeds and machine files told of it, and are kept now
    restrict(page)
    assert [path for path, text in everywhere(client, *own) if page.title in text] == []
    assert client.get(page.url).status_code == 302
    assert client.get(f"{page.url.rstrip('/')}.md").status_code == 404
    assert client.get(f"/og/{page.pk}.png").status_code == 404
    assert page.title not in client.get("/search/?q=xylophone").content.decode()
    assert page.title not in client.get("/research/papers/?q=xylophone").content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_under_a_restricted_page_goes_with_it(client, starter, kind: str) -> None:
    shelf = PapersPage.objects.get()
    titles = [p.title for p in PaperPage.objects.live()]
    assert selectors.chrome(shelf.get_site()).counts["papers"] == len(titles)
    assert client.get("/research/papers/qlora/cite/bib/").status_code == 200
    list(everywhere(client))
    rule = restrict(shelf, kind)
    for path, text in everywhere(client):
        assert [t for t in titles if t in text] == [], path
    assert selectors.chrome(shelf.get_site()).counts["papers"] == 0
    assert "QLoRA" not in client.get("/research/papers/qlora/cite/bib/").content.decode()
    assert json.loads(client.get("/feeds/papers.json").content)["items"] == []
    rule.delete()
    assert client.get("/research/papers/qlora/cite/bib/").status_code == 200
    assert selectors.chrome(shelf.get_site()).counts["papers"] == len(titles)


def test_an_alias_of_a_restricted_page_goes_with_it(client, starter) -> None:
    page = PaperPage.objects.get(slug="qlora")
    alias = page.create_alias(parent=PapersPage.objects.get(), update_slug="qlora-again")
    restrict(page)
    for path in ("/sitemap.xml", "/llms.txt", "/research/papers/", "/feeds/papers.rss"):
        assert "qlora" not in client.get(path).content.decode(), path
    assert client.get(f"/og/{alias.pk}.png").status_code == 404
    assert page.title not in client.get("/search/?q=qlora").content.decode()


def test_readers_who_may_find_what_is_restricted(client, starter) -> None:
    shelf = PapersPage.objects.get()
    rule = restrict(shelf, "groups")
    member = get_user_model().objects.create_user("ada", "ada@example.org", "pw")
    rule.groups.add(group := Group.objects.create(name="Reviewers"))
    client.force_login(member)
    assert client.get(shelf.url).status_code in (302, 403)
    member.groups.add(group)
    assert "QLoRA" in client.get(shelf.url).content.decode()
    section = DocsSectionPage.objects.get(slug="guides")
    restrict(section)
    assert "Streaming" in client.get(section.url).content.decode()
    client.logout()
    assert "QLoRA" not in client.get("/research/").content.decode()


def test_the_roadmap_and_blocks_leave_restricted_pages_out(client, starter) -> None:
    card = RoadmapItemPage.objects.live().first()
    card.title = "Xylophone Quartz"
    card.save_revision().publish()
    assert card.title in client.get("/research/roadmap/").content.decode()
    restrict(card)
    assert card.title not in client.get("/research/roadmap/").content.decode()
    assert card.title not in client.get("/").content.decode()


def test_a_paper_names_no_restricted_notebook_and_a_release_no_restricted_paper(
    client, starter
) -> None:
    release = ReleasePage.objects.get(slug="moondream2-2025-04-14")
    assert release.paper.title in client.get(release.url).content.decode()
    restrict(release.paper)
    assert release.paper.title not in client.get(release.url).content.decode()


def test_feeds_change_their_tag_when_a_page_leaves(client, starter) -> None:
    before = client.get("/feeds/all.json")
    oldest = PaperPage.objects.get(slug="cider")
    restrict(oldest)
    after = client.get("/feeds/all.json", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert "max-age=0" in after["Cache-Control"]


# Drafts, and pages whose time is over


def words_in(client: Client, word: str, *more: str) -> list[str]:
    """Where an anonymous reader meets a word: in lists, on pages, in search, in answers of the API."""
    asked = f"q={word.lower()}"  # what is asked for comes back on the page, as it was written
    found = (f"/search/?{asked}", f"/research/papers/?{asked}", "/api/openapi.json")
    return [path for path, text in everywhere(client, *more, *found) if word in text]


def test_words_of_a_draft_are_told_nowhere(client, starter) -> None:
    """Neither of one that was never published, nor of changes to a page that is."""
    page = PaperPage.objects.get(slug="qlora")
    own = (page.url, f"{page.url.rstrip('/')}.md", f"{page.url}cite/bib/", f"{page.url}cite/json/")
    page.title = page.abstract = page.search_description = "Xylophone"
    page.authors.first().name = "Xylophone Quartz"
    page.save_revision(log_action=False)
    assert words_in(client, "Xylophone", *own) == []
    new = ReleasePage(
        title="Xylophone", slug="xylophone", version="Xylophone", body="<p>Xylophone</p>", live=False,
        published_on=timezone.now().date(),
    )  # fmt: skip
    ReleasePage.objects.first().get_parent().add_child(instance=new)
    new.save_revision()
    here = f"{ReleasePage.objects.first().get_parent().url}xylophone/"
    assert (
        words_in(client, "Xylophone", *own, here, "/research/releases/", "/feeds/releases.rss")
        == []
    )
    assert client.get(here).status_code == 404
    assert client.get(f"{here.rstrip('/')}.md").status_code == 404
    assert client.get(f"/og/{new.pk}.png").status_code == 404
    page.get_latest_revision().publish()
    assert page.url in words_in(client, "Xylophone", *own)


def leave(page: Page, how: str) -> None:
    """Take a page away in one of the ways there are."""
    if how == "unpublished":
        page.unpublish()
    elif how == "expired":  # the task that unpublishes it has not come
        Page.objects.filter(pk=page.pk).update(expire_at=timezone.now() - timedelta(seconds=1))
    elif how == "deleted":
        page.delete()
    elif how == "restricted":
        restrict(page)
    elif how == "under a restricted page":
        restrict(page.get_parent())
    else:
        hidden = RoadmapPage.objects.get()
        restrict(hidden)
        page.move(hidden, pos="last-child")


@pytest.mark.parametrize(
    "how", ["unpublished", "expired", "deleted", "restricted", "under a restricted page", "moved under one"]
)  # fmt: skip
def test_a_page_that_leaves_is_gone_everywhere_at_once(client, starter, how: str) -> None:
    page = PaperPage.objects.get(slug="embedded-model")
    page.title = "Xylophone"
    page.save_revision().publish()
    url = page.url
    own = (
        url,
        f"{url.rstrip('/')}.md",
        f"{url}cite/bib/",
        "/leaderboards/world-captions/",
        "/research/releases/",
    )
    before = words_in(client, "Xylophone", *own)
    assert {
        url,
        "/",
        "/research/papers/",
        "/feeds/all.rss",
        "/leaderboards/world-captions/",
    } <= set(before)
    leave(PaperPage.objects.get(pk=page.pk), how)
    assert words_in(client, "Xylophone", *own) == []
    assert client.get(url).status_code in ((301,) if "moved" in how else (302, 404))
    assert client.get(f"/og/{page.pk}.png").status_code == 404
    reader = Client()
    reader.force_login(get_user_model().objects.create_user("ada", "ada@example.org", "pw"))
    if "restricted" not in how and how != "moved under one":
        assert reader.get(url).status_code == 404


# Documents, pictures, notebooks


@pytest.fixture
def secret(db: None) -> Collection:
    outer = Collection.get_first_root_node().add_child(name="Outer")
    return outer.add_child(name="Inner")


def document(name: str, content: bytes, collection: Collection | None = None) -> Any:
    more = {"collection": collection} if collection else {}
    return get_document_model().objects.create(
        title=name, file=ContentFile(content, name=name), **more
    )


def picture(collection: Collection | None = None) -> Any:
    out = io.BytesIO()
    Picture.new("RGB", (40, 30), "red").save(out, "PNG")
    more = {"collection": collection} if collection else {}
    return get_image_model().objects.create(
        title="Red", file=ContentFile(out.getvalue(), name="red.png"), **more
    )


@pytest.mark.parametrize("kind", KINDS)
def test_documents_and_pictures_of_a_restricted_collection(client, secret, kind: str) -> None:
    held, image = document("plan.pdf", b"%PDF-1.4 secret", secret), picture(secret)
    rendition = image.get_rendition("width-20")
    files = [held.url, image.file.url, rendition.url, f"/media/{held.file.name}"]
    assert [client.get(f, follow=True).status_code for f in files] == [200] * 4
    rule = CollectionViewRestriction.objects.create(
        collection=secret.get_parent(), restriction_type=kind, password="x"
    )
    for address in files:
        answer = client.get(address, follow=True)
        assert b"secret" not in answer.getvalue()
        assert answer["Content-Type"].startswith("text/html"), address
        assert client.head(address).status_code != 200 or kind == "password"
    user = get_user_model().objects.create_user("ada", "ada@example.org", "pw")
    client.force_login(user)
    if kind == "groups":
        assert client.get(image.file.url).status_code == 404
        user.groups.add(group := Group.objects.create(name="Readers"))
        rule.groups.add(group)
    if kind == "password":
        assert client.get(rendition.url).status_code == 404
    else:
        assert [client.get(f, follow=True).status_code for f in files] == [200] * 4
        assert all("private" in client.get(f, follow=True)["Cache-Control"] for f in files)


def test_a_restricted_notebook_s_file_goes_with_its_page(client, starter) -> None:
    page = NotebookPage.objects.get(slug="reproduce-a-figure")
    assert client.get(page.file.url).status_code == 200
    restrict(page.get_parent())
    assert client.get(page.file.url).status_code == 404
    client.force_login(get_user_model().objects.create_user("ada", "ada@example.org", "pw"))
    assert client.get(page.file.url).status_code == 200
    page.unpublish()
    assert client.get(page.file.url).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["documents/none.pdf", "images/none.png", "original_images/none.png", "secret_key", "",
     "benchmarks/../documents/plan.pdf", "benchmarks/..%2Fdocuments/plan.pdf", "benchmarks//x.png",
     "benchmarks/%00.png", "benchmarks/", "benchmarks", "../../etc/passwd", "benchmarks/../../x",
     "notebooks/none.ipynb", "avatar_images/x.png", "é/x", "images/" + "x" * 5000],
)  # fmt: skip
def test_no_other_file_has_an_address(client, db, path: str) -> None:
    document("plan.pdf", b"%PDF-1.4 secret")
    assert client.get(f"/media/{path}").status_code == 404


def test_benchmark_pictures_are_everybody_s(client, db) -> None:
    name = default_storage.save("benchmarks/x/test/q1.webp", ContentFile(b"RIFF"))
    answer = client.get(f"/media/{name}")
    assert answer.getvalue() == b"RIFF"
    assert answer["Content-Type"] == "image/webp"
    assert (
        client.get(f"/media/{name}", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    )
    assert client.post(f"/media/{name}").status_code == 405


ACTIVE = ("x.html", "x.HTM", "x.xhtml", "x.svg", "x.svgz", "x.xml", "x.js", "x.mjs", "x.pdf.html",
          "x.css", "x.swf", "x.xsl", "x.mht", "x", "x.unknown", "x.ipynb", "x.json")  # fmt: skip
SCRIPT = b"<html><script>alert(document.domain)</script>"


@pytest.mark.parametrize("name", ACTIVE)
def test_what_a_browser_might_run_is_only_ever_saved(client, db, name: str) -> None:
    """Also of files that were stored before there was a list of extensions."""
    held = document(name, SCRIPT)
    default_storage.save(f"benchmarks/active/{name}", ContentFile(SCRIPT))
    for address in (held.url, f"/media/benchmarks/active/{name}"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith("attachment")
        assert re.search(r"\bsandbox\b(?! allow)", answer["Content-Security-Policy"])
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_pdfs_and_pictures_are_shown_in_place_and_run_nothing(client, db) -> None:
    for name, kind in (
        ("x.pdf", "application/pdf"),
        ("x.png", "image/png"),
        ("x.txt", "text/plain"),
    ):
        answer = client.get(document(name, SCRIPT).url)
        assert answer["Content-Type"].startswith(kind)
        assert answer["Content-Disposition"].startswith("inline")
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.xml", "x.xhtml", "x.js", "x.htm", "x.HTML"])
def test_editors_cannot_upload_what_a_browser_runs(admin_client, db, name: str) -> None:
    file = ContentFile(SCRIPT, name=name)
    for address in ("/admin/documents/add/", "/admin/documents/multiple/add/"):
        admin_client.post(
            address, {"title": "upload", "file": file, "files[]": file, "collection": 1},
            headers={"X-Requested-With": "XMLHttpRequest"},
        )  # fmt: skip
        file.seek(0)
    uploaded = get_document_model().objects.filter(title__in=("upload", name, "x"))
    assert not uploaded.exists()
    good = ContentFile(b"a,b\n", name="x.csv")
    admin_client.post("/admin/documents/add/", {"title": "x", "file": good, "collection": 1})
    assert uploaded.count() == 1
