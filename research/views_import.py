"""“Import a paper”, in the admin: paste, look at what was found, make drafts of it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from research import importing, services
from research.importing import Found
from research.models import PapersPage
from research.selectors.twins import papers_like

_SALT = "research.importing"
_FOR = 3600
"""Seconds that what was found may be looked at."""


class SourceForm(forms.Form):
    """What is pasted."""

    source = forms.CharField(
        label="DOI, arXiv id or BibTeX", max_length=importing.MOST,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="DOIs and arXiv ids one a line; or BibTeX of several papers. BibTeX is read without "
        "asking anybody.",
    )  # fmt: skip

    def clean_source(self) -> list[Found]:
        return importing.read(self.cleaned_data["source"])


def may_import(user: Any) -> bool:
    """Whether somebody may add papers to the library."""
    library = PapersPage.objects.first()
    return bool(library and library.permissions_for_user(user).can_add_subpage())


@require_http_methods(["GET", "HEAD", "POST"])
def import_papers(request: HttpRequest) -> HttpResponse:
    """The form; what was found; then drafts of what was ticked."""
    if not may_import(request.user):
        raise PermissionDenied
    if "found" in request.POST:
        return _made(request)
    form = SourceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _preview(request, form.cleaned_data["source"])
    status = 422 if form.is_bound else 200
    return render(request, "research/admin/import.html", {"form": form}, status=status)


def _preview(request: HttpRequest, papers: list[Found]) -> HttpResponse:
    kept = signing.dumps([paper.as_data() for paper in papers], salt=_SALT, compress=True)
    twins = papers_like(papers)
    rows = [(number, paper, twins[number]) for number, paper in enumerate(papers)]
    return render(request, "research/admin/import_preview.html", {"rows": rows, "found": kept})


def _made(request: HttpRequest) -> HttpResponse:
    try:
        data = signing.loads(request.POST["found"], salt=_SALT, max_age=_FOR)
    except signing.BadSignature:
        messages.error(request, "What was found is too old, or not whole. Paste it again.")
        return redirect("import_papers")
    papers = [Found.of_data(one) for one in data]
    ticked = [papers[int(n)] for n in dict.fromkeys(request.POST.getlist("take")) if n.isdecimal() and int(n) < len(papers)]  # fmt: skip
    if not ticked:
        messages.error(request, "Nothing was ticked, and nothing was made.")
        return redirect("import_papers")
    try:
        pages = services.papers_import(papers=ticked, user=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("import_papers")
    names = ", ".join(f"“{page.title}”" for page in pages)
    messages.success(request, f"Drafts: {names}. They are published when you say so.")
    if len(pages) == 1:
        return redirect("wagtailadmin_pages:edit", pages[0].pk)
    return redirect(reverse("wagtailadmin_explore", args=[pages[0].get_parent().pk]))
