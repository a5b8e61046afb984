"""Addresses that pages may not take, redirects that lead back, and files that are not what they say."""

import io
import zipfile
from datetime import date
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from wagtail.contrib.redirects.models import Redirect
from wagtail.documents import get_document_model
from wagtail.models import Page, Site
from wagtail.test.utils.form_data import inline_formset, nested_form_data, rich_text, streamfield

from research.addresses import is_taken, reserved
from research.models import (
    DocsArticlePage,
    DocsPage,
    HomePage,
    LegalPage,
    NotebookPage,
    NotebooksPage,
    PaperPage,
    PapersPage,
    StandardPage,
)

pytestmark = pytest.mark.django_db
OURS = [
    "playground", "api", "v1", "media", "account", "status", "feeds", "admin", "documents", "static",
    "search", "og", "leaderboards", "styleguide", "healthz", "readyz", "_util", "index", "Playground", "API",
]  # fmt: skip


def legal(slug: str, **more: Any) -> dict[str, Any]:
    return nested_form_data({
        "title": "A page", "slug": slug, "effective_on": "2026-01-01", "accent": "blue",
        "body": rich_text("<p>x</p>"),
    } | more)  # fmt: skip


@pytest.mark.parametrize("slug", OURS)
@pytest.mark.parametrize("action", [{}, {"action-publish": "1"}])
def test_a_slug_of_ours_is_an_error_at_the_field(
    admin_client: Client, starter, slug: str, action: Any
) -> None:
    home = HomePage.objects.get()
    address = reverse("wagtailadmin_pages:add", args=["research", "legalpage", home.pk])
    answer = admin_client.post(address, legal(slug, **action))
    assert answer.status_code == 200
    assert answer.context["form"].errors["slug"] == [
        "This address is the site's own. Choose another slug."
    ]
    assert not Page.objects.child_of(home).filter(slug=slug).exists()


def test_an_editor_may_not_change_to_one_and_may_take_others(admin_client: Client, starter) -> None:
    home = HomePage.objects.get()
    page = LegalPage.objects.child_of(home).first() or home.add_child(
        instance=LegalPage(title="L", slug="l", effective_on=date(2026, 1, 1), body="x")
    )
    address = reverse("wagtailadmin_pages:edit", args=[page.pk])
    answer = admin_client.post(address, legal("status", **{"action-publish": "1"}))
    assert "slug" in answer.context["form"].errors
    add = reverse("wagtailadmin_pages:add", args=["research", "legalpage", home.pk])
    for slug in ("statuses", "api-terms", "v2", "café"):
        assert admin_client.post(add, legal(slug, **{"action-publish": "1"})).status_code == 302, (
            slug
        )
        assert admin_client.get(LegalPage.objects.get(slug=slug).url).status_code == 200


def test_further_down_only_the_address_itself_is_taken(admin_client: Client, starter) -> None:
    docs, home = DocsPage.objects.get(), HomePage.objects.get()
    assert is_taken(docs, "api")
    assert not is_taken(docs, "status")
    assert not is_taken(PapersPage.objects.get(), "api")
    assert not is_taken(home, "docs")
    assert not any(
        is_taken(page.get_parent(), page.slug) for page in Page.objects.filter(depth__gt=2)
    )
    form = nested_form_data(
        {"title": "A", "slug": "api", "lede": "", "accent": "blue", "body": streamfield([])}
    )
    address = reverse("wagtailadmin_pages:add", args=["research", "docsarticlepage", docs.pk])
    assert "slug" in admin_client.post(address, form).context["form"].errors


def test_every_address_of_the_site_is_reserved(client: Client, starter) -> None:
    for path in (
        "/playground/",
        "/leaderboards/",
        "/account/",
        "/status/",
        "/v1/models",
        "/api/openapi.json",
        "/feeds/all.rss",
    ):
        assert path.split("/")[1] in reserved()


def test_a_copy_may_not_take_one_and_a_move_is_refused(admin_client: Client, starter) -> None:
    home = HomePage.objects.get()
    page = home.add_child(
        instance=LegalPage(title="L", slug="terms-of-old", effective_on=date(2026, 1, 1), body="x")
    )
    copied = admin_client.post(
        reverse("wagtailadmin_pages:copy", args=[page.pk]),
        {"new_title": "x", "new_slug": "media", "new_parent_page": home.pk},
    )
    assert "new_slug" in copied.context["form"].errors
    assert not Page.objects.filter(slug="media").exists()
    under = StandardPage.objects.child_of(home).first()
    inner = under.add_child(
        instance=LegalPage(title="L", slug="status", effective_on=date(2026, 1, 1), body="x")
    )
    admin_client.post(reverse("wagtailadmin_pages:move_confirm", args=[inner.pk, home.pk]))
    inner.refresh_from_db()
    assert inner.get_parent().pk == under.pk
    assert not inner.can_move_to(home)
    assert page.can_move_to(under)


def redirect(old: str, to: Any, **more: Any) -> Redirect:
    return Redirect.add_redirect(old, to, **more)


@pytest.mark.parametrize("target", ["/a", "/a/", "http://testserver/a/", "/a?", "//testserver/a"])
def test_a_redirect_to_itself_leads_nowhere(client: Client, starter, target: str) -> None:
    redirect("/a", target)
    assert client.get("/a/").status_code == 404


def test_circles_are_broken_and_chains_that_end_are_not(client: Client, starter) -> None:
    for old, to in (
        ("/a", "/b/"),
        ("/b", "/c?x=1"),
        ("/c", "http://localhost/a"),
        ("/c?x=1", "/a/"),
    ):
        redirect(old, to)
    for path in ("/a/", "/b/", "/c/", "/c/?x=1"):
        assert client.get(path).status_code == 404, path
    redirect("/x", "/y/")
    redirect("/y", "/docs/")
    redirect("/docs", "/x/")  # never taken: there is a page
    redirect("/out", "https://example.org/out")
    redirect("/gone", "/nothing/")
    redirect("/é", "/docs/")
    for path, to in (
        ("/x/", "/y/"),
        ("/y/", "/docs/"),
        ("/out/", "https://example.org/out"),
        ("/gone/", "/nothing/"),
        ("/é/", "/docs/"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (301, to)
    assert client.get("/x/", follow=True).status_code == 200


def test_a_redirect_to_a_page_that_is_taken_back(client: Client, starter) -> None:
    page = DocsArticlePage.objects.get(slug="streaming")
    redirect("/old", page)
    assert client.get("/old/")["Location"] == page.url
    redirect(page.url, "/old/")
    assert client.get("/old/")["Location"] == page.url
    page.unpublish()
    assert client.get("/old/").status_code == 404
    assert client.get(page.url).status_code == 404


@pytest.mark.parametrize(
    ("old", "link"),
    [("/a", "http://localhost/a/"), ("/a/", "http://localhost:8000/a"), ("/b", "http://localhost/c"), ("/d", "http://localhost/b")],
)  # fmt: skip
def test_an_editor_is_told_of_a_circle(admin_client: Client, starter, old: str, link: str) -> None:
    redirect("/c", "/b/")
    redirect("/b2", "/d")
    if old == "/d":
        redirect("/b", "/d/")
    sent = {"old_path": old, "redirect_link": link, "is_permanent": "on", "site": ""}
    answer = admin_client.post(reverse("wagtailredirects:add"), sent)
    assert answer.status_code == 200
    assert "leads back" in answer.context["form"].errors["redirect_link"][0]


def test_an_editor_s_other_redirects_are_taken(admin_client: Client, starter) -> None:
    page = DocsArticlePage.objects.get(slug="streaming")
    own = {
        "old_path": page.url,
        "redirect_page": page.pk,
        "is_permanent": "on",
        "site": Site.objects.get().pk,
    }
    answer = admin_client.post(reverse("wagtailredirects:add"), own)
    assert "leads back" in answer.context["form"].errors["redirect_page"][0]
    for old, more in (
        ("/s", {"redirect_page": page.pk}),
        ("/t", {"redirect_link": "https://example.org/t"}),
        ("/u", {"redirect_link": "http://localhost/s"}),
    ):
        sent = {"old_path": old, "is_permanent": "on", "site": ""} | more
        assert admin_client.post(reverse("wagtailredirects:add"), sent).status_code == 302, old
    made = Redirect.objects.get(old_path="/s")
    edit = reverse("wagtailredirects:edit", args=[made.pk])
    again = {
        "old_path": "/s",
        "is_permanent": "on",
        "site": "",
        "redirect_link": "http://localhost/u",
    }
    assert "leads back" in admin_client.post(edit, again).context["form"].errors["redirect_link"][0]
    assert (
        admin_client.post(edit, again | {"redirect_link": "http://localhost/docs/"}).status_code
        == 302
    )


def word_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [word_file(), b"", b"<html>", b"\x89PNG\r\n", b"x" * 2000 + b"%PDF-1.7"]
)
def test_what_only_says_it_is_a_pdf_is_refused(
    admin_client: Client, starter, content: bytes
) -> None:
    file = SimpleUploadedFile("paper.pdf", content, "application/pdf")
    answer = admin_client.post(
        reverse("wagtaildocs:add"), {"title": "T", "file": file, "collection": 1}
    )
    assert answer.context["form"].errors["file"]
    assert not get_document_model().objects.filter(title="T").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.docx", word_file()), ("a.pdf", word_file()), ("a.docx", b"%PDF-1.7"), ("a.txt", b"x")],
)
def test_a_paper_s_pdf_is_one(starter, name: str, content: bytes) -> None:
    paper = PaperPage.objects.get(slug="qlora")
    paper.pdf = get_document_model().objects.create(title="x", file=ContentFile(content, name=name))
    with pytest.raises(ValidationError) as said:
        paper.full_clean()
    assert "PDF" in said.value.message_dict["pdf"][0]
    paper.pdf = get_document_model().objects.create(
        title="x", file=ContentFile(b"\n%PDF-1.7\n", name="A.PDF")
    )
    paper.full_clean()
    paper.pdf.file.storage.delete(paper.pdf.file.name)
    paper.pdf = get_document_model().objects.get(pk=paper.pdf_id)
    with pytest.raises(ValidationError, match="cannot be read"):
        paper.full_clean()


def test_a_true_pdf_and_other_documents_are_taken(admin_client: Client, starter) -> None:
    for name, content in (("a.pdf", b"%PDF-1.4\n"), ("a.docx", word_file())):
        file = SimpleUploadedFile(name, content)
        answer = admin_client.post(
            reverse("wagtaildocs:add"), {"title": name, "file": file, "collection": 1}
        )
        assert answer.status_code == 302
    document = get_document_model().objects.get(title="a.pdf")
    edit = reverse("wagtaildocs:edit", args=[document.pk])
    assert admin_client.post(edit, {"title": "Named anew", "collection": 1}).status_code == 302
    with document.file.open("rb") as kept:
        assert kept.read() == b"%PDF-1.4\n"


def test_the_editor_of_a_paper_says_it_at_the_field(admin_client: Client, starter) -> None:
    shelf = PapersPage.objects.get()
    file = get_document_model().objects.create(
        title="x", file=ContentFile(word_file(), name="x.docx")
    )
    empty = {name: inline_formset([]) for name in ("sections", "versions", "boards")}
    form = nested_form_data({
        "title": "A", "slug": "a-paper", "abstract": "x", "published_on": "2020-01-01", "kind": "preprint", "accent": "blue",
        "relevance": rich_text(""), "pdf": file.pk, "tags": "", "action-publish": "1",
        "details": streamfield([]),
        "authors": inline_formset([{"name": "Ada Lovelace", "ORDER": "1"}]),
    } | empty)  # fmt: skip
    address = reverse("wagtailadmin_pages:add", args=["research", "paperpage", shelf.pk])
    answer = admin_client.post(address, form)
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == ["pdf"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"nbformat": 3, "worksheets": []}',
        b"not JSON",
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "x", "outputs": null}]}',
    ],
)
def test_an_editor_previews_an_odd_notebook(admin_client: Client, starter, raw: bytes) -> None:
    page = NotebookPage.objects.first()
    stored = page.file.storage.save("notebooks/odd.ipynb", ContentFile(raw))
    NotebookPage.objects.filter(pk=page.pk).update(file=stored)
    page.refresh_from_db()
    assert page.make_preview_request().status_code == 200
    assert admin_client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).status_code == 200
    address = reverse(
        "wagtailadmin_pages:add", args=["research", "notebookpage", NotebooksPage.objects.get().pk]
    )
    form = nested_form_data({
        "title": "Odd", "slug": "odd", "lede": "x", "published_on": "2026-01-01", "accent": "blue", "tags": "",
        "file": ContentFile(raw, name="odd.ipynb"), "details": streamfield([]),
    })  # fmt: skip
    answer = admin_client.post(address, form)
    assert "notebook" in answer.context["form"].errors["file"][0]
