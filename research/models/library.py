"""The hub, its shelves, and the papers on the first of them."""

from typing import Any, ClassVar
from urllib.parse import quote

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey, ParentalManyToManyField
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel, InlinePanel
from wagtail.contrib.routable_page.models import RoutablePageMixin, path
from wagtail.documents import get_document_model_string
from wagtail.fields import RichTextField
from wagtail.models import Orderable
from wagtail.rich_text import RichText
from wagtail.search import index

from inference import page_cache
from leaderboard import selectors as leaderboard
from research import citation, formulas, selectors, structured
from research.models.base import (
    PROSE,
    BasePage,
    ClaimPage,
    DetailsMixin,
    SampleMixin,
    grouped,
)
from research.names import Name, read_name
from research.validators import (
    DOI_SAFE,
    validate_anchor,
    validate_arxiv_id,
    validate_doi,
    validate_licence,
    validate_orcid,
    validate_pdf,
)


class ResearchPage(ClaimPage):
    """The hub: what is new, and the ways into each shelf."""

    parent_page_types: ClassVar[list[str]] = ["research.HomePage"]
    max_count = 1
    template = "research/research_page.html"

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["hub"] = selectors.research_hub()
        return context


class ShelfPage(ClaimPage):
    """A list of one kind of item with search, tags and years."""

    parent_page_types: ClassVar[list[str]] = ["research.ResearchPage"]
    max_count = 1
    item_model: ClassVar[str]
    """Name of the model that is listed."""
    empty: ClassVar[str]
    card: ClassVar[str]
    """Template of one item."""
    feed: ClassVar[str]
    """Its items' feed (`research.feeds`)."""

    empty_text = models.CharField(
        max_length=200, blank=True,
        help_text="What is said where no item fits. Without it, what this kind of list says.",
    )  # fmt: skip

    content_panels: ClassVar[list[Any]] = [*ClaimPage.content_panels, FieldPanel("empty_text")]

    class Meta:
        abstract = True

    def get_template(self, request: HttpRequest, *args: Any, **kwargs: Any) -> str:
        return "research/shelf_page.html"  # Wagtail gives each concrete class a name of its own

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        model = apps.get_model("research", self.item_model)
        context["shelf"] = selectors.shelf(model, self, request.GET, request)
        context["card"] = self.card
        context["empty"] = self.empty_text or self.empty
        return context

    def serve(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().serve(request, *args, **kwargs)
        shelf = (getattr(response, "context_data", None) or {}).get("shelf")
        if shelf is not None:
            found = shelf.total or not shelf.filtered
            page_cache.keep(response, page_cache.SECONDS if found else 0, shelf.fields)
        return response


class PapersPage(ShelfPage):
    """The library of papers."""

    subpage_types: ClassVar[list[str]] = ["research.PaperPage"]
    feed = "papers"
    item_model = "PaperPage"
    card = "research/cards/paper.html"
    empty = "No paper fits. Take a filter away, or search for another word."


class PaperTag(TaggedItemBase):
    """A tag of a paper."""

    content_object = ParentalKey(
        "research.PaperPage", related_name="tagged_items", on_delete=models.CASCADE
    )


class PaperPage(DetailsMixin, RoutablePageMixin, SampleMixin, BasePage):  # type: ignore[django-manager-missing]
    """A paper or preprint, with what is needed to cite it and to link to its sections."""

    class Kind(models.TextChoices):
        PAPER = "paper", "Conference paper"
        ARTICLE = "article", "Journal article"
        PREPRINT = "preprint", "Preprint"
        REPORT = "report", "Technical report"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PREPRINT)
    abstract = models.TextField()
    relevance = RichTextField(
        blank=True, features=PROSE, help_text="Why it matters here: what of it this project uses."
    )
    published_on = models.DateField()
    venue = models.CharField(
        max_length=200, blank=True, help_text="Conference, journal, or institution."
    )
    doi = models.CharField("DOI", max_length=255, blank=True, validators=[validate_doi])
    arxiv_id = models.CharField(
        "arXiv id", max_length=40, blank=True, validators=[validate_arxiv_id]
    )
    arxiv_class = models.CharField(
        "arXiv class", max_length=20, blank=True, help_text="Like cs.CV."
    )
    source_url = models.URLField(
        blank=True, help_text="Where it is published, if not at arXiv or a DOI."
    )
    pdf = models.ForeignKey(
        get_document_model_string(), null=True, blank=True, on_delete=models.SET_NULL,
        related_name="+", help_text="Only what we may redistribute.",
    )  # fmt: skip
    pdf_url = models.URLField(
        "PDF address", blank=True, help_text="Elsewhere, if we do not hold it."
    )
    licence = models.CharField(max_length=60, blank=True, validators=[validate_licence])
    tags = ClusterTaggableManager(through=PaperTag, blank=True)
    notebooks = ParentalManyToManyField("research.NotebookPage", blank=True, related_name="papers")
    datasets = ParentalManyToManyField("research.DatasetPage", blank=True, related_name="papers")

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        grouped("kind", "published_on", "venue", "licence", "is_sample", heading="What it is"),
        InlinePanel("authors", label="Author", min_num=1),
        FieldPanel("abstract"),
        FieldPanel("relevance"),
        grouped(
            "doi", "arxiv_id", "arxiv_class", "source_url", "pdf", "pdf_url", heading="Where it is"
        ),
        InlinePanel("sections", label="Section"),
        FieldPanel("details"),
        InlinePanel("versions", label="Version"),
        FieldPanel("tags"),
        FieldPanel("notebooks"),
        FieldPanel("datasets"),
        InlinePanel("boards", label="Leaderboard", heading="Leaderboards"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("abstract"),
        index.SearchField("relevance"),
        index.SearchField("venue"),
        index.SearchField("details"),
        index.FilterField("published_on"),
        index.RelatedFields("authors", [index.SearchField("name")]),
        index.RelatedFields("sections", [index.SearchField("title"), index.SearchField("text")]),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.PapersPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/paper_page.html"

    @property
    def summary(self) -> str:
        return str(self.search_description or self.abstract)

    @property
    def byline(self) -> str:
        """One or two authors' family names, or the first and “et al.”."""
        names = [a.parts.sorted_by for a in self.authors.all()]
        if len(names) > 2:
            return f"{names[0]} et al."
        return " and ".join(names)

    @property
    def pdf_link(self) -> str:
        """Address of the PDF: ours, else arXiv's or another's; empty if there is none."""
        if self.pdf:
            return str(self.pdf.url)
        if self.pdf_url:
            return str(self.pdf_url)
        return f"https://arxiv.org/pdf/{self.arxiv_id}" if self.arxiv_id else ""

    @property
    def home_link(self) -> str:
        """Address of the paper where it is published."""
        if self.source_url:
            return str(self.source_url)
        if self.arxiv_id:
            return f"https://arxiv.org/abs/{self.arxiv_id}"
        return self.doi_link

    @property
    def doi_link(self) -> str:
        """Address of the DOI, encoded as the DOI Handbook asks (3.4.2); empty without one."""
        return f"https://doi.org/{quote(self.doi, safe=DOI_SAFE)}" if self.doi else ""

    def read_whole(self) -> None:
        whole: tuple[Any, ...] = (
            self.authors, self.sections, self.versions, self.boards, self.notebooks, self.datasets,
            self.tagged_items,
        )  # fmt: skip
        for relation in whole:
            relation.get_object_list()
        models.prefetch_related_objects(whole[-1].get_object_list(), "tag")

    def serve(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Routable pages answer by themselves, without the serve of BasePage.
        response: HttpResponseBase = super().serve(request, *args, **kwargs)
        page_cache.keep(response)
        return response

    @property
    def identifiers(self) -> list[str]:
        return [self.doi, self.arxiv_id]

    def clean(self) -> None:
        super().clean()
        if self.pdf:
            try:
                validate_pdf(self.pdf.file)
            except ValidationError as error:
                raise ValidationError({"pdf": error.messages}) from error
        if not self.is_sample and not (self.home_link or self.pdf):
            raise ValidationError(
                {"source_url": "Give an arXiv id, a DOI, an address or a PDF; or mark it a sample."}
            )

    def structured_data(self, request: HttpRequest) -> dict[str, Any]:
        return structured.scholarly_article(self, request)

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["paper"] = selectors.paper(self)
        context["bibtex"] = citation.bibtex(self, request.build_absolute_uri(self.url))
        return context

    @path("cite/<str:form>/")
    def cite(self, request: HttpRequest, form: str) -> HttpResponse:
        """The citation as a file: cite/bib/, cite/ris/, cite/json/ (CSL), cite/cff/."""
        made = citation.FORMS.get(form)
        if made is None:
            raise Http404
        answer = HttpResponse(
            made.write(self, request.build_absolute_uri(self.url)), content_type=made.content_type
        )
        answer["Content-Disposition"] = f'attachment; filename="{self.slug}.{made.extension}"'
        return answer


class Author(Orderable):
    """One author of a paper, in order."""

    paper = ParentalKey(PaperPage, related_name="authors", on_delete=models.CASCADE)
    name = models.CharField(
        max_length=200,
        help_text="Given name first, or “Family, Given” where the family name has several words; "
        "or the name of a group.",
    )
    is_group = models.BooleanField(
        "group", default=False, help_text="An organisation, not a person."
    )
    orcid = models.CharField("ORCID iD", max_length=19, blank=True, validators=[validate_orcid])
    affiliation = models.CharField(max_length=160, blank=True)

    panels: ClassVar[list[Any]] = [
        FieldPanel("name"),
        FieldPanel("is_group"),
        FieldPanel("orcid"),
        FieldPanel("affiliation"),
    ]

    @property
    def parts(self) -> Name:
        """The name's parts; a group's whole name is its family name."""
        return Name(" ".join(self.name.split())) if self.is_group else read_name(self.name)

    @property
    def text(self) -> str:
        """The name as it is read, given name first."""
        return self.parts.text


class PaperSection(Orderable):
    """A section that the rest of the site links to: its anchor never changes."""

    paper = ParentalKey(PaperPage, related_name="sections", on_delete=models.CASCADE)
    anchor = models.CharField(
        max_length=60,
        validators=[validate_anchor],
        help_text="The link is …/#sec-<anchor>. Do not change it once published.",
    )
    title = models.CharField(max_length=160)
    page = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Page in the PDF, from 1."
    )
    text = RichTextField(
        blank=True, features=PROSE, help_text="The section in short, in our words."
    )

    panels: ClassVar[list[Any]] = [
        FieldPanel("anchor"),
        FieldPanel("title"),
        FieldPanel("page"),
        FieldPanel("text"),
    ]

    def clean(self) -> None:
        super().clean()
        if problems := formulas.problems(RichText(self.text)):
            raise ValidationError({"text": problems})

    class Meta(Orderable.Meta):
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["paper", "anchor"], name="one_anchor_a_paper")
        ]


class PaperVersion(Orderable):
    """One version of a paper."""

    paper = ParentalKey(PaperPage, related_name="versions", on_delete=models.CASCADE)
    label = models.CharField(max_length=20, help_text="Like v2.")
    published_on = models.DateField()
    url = models.URLField(blank=True)
    note = models.CharField(max_length=200, blank=True, help_text="What changed.")

    panels: ClassVar[list[Any]] = [
        FieldPanel("label"),
        FieldPanel("published_on"),
        FieldPanel("url"),
        FieldPanel("note"),
    ]


class PaperBoard(Orderable):
    """A leaderboard that a paper belongs to: one here, or figures that others report."""

    paper = ParentalKey(PaperPage, related_name="boards", on_delete=models.CASCADE)
    benchmark = models.ForeignKey(
        "leaderboard.Benchmark", null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text="A leaderboard here.",
    )  # fmt: skip
    reported = models.CharField(
        max_length=60, blank=True, help_text="Or the name of reported figures, as in TextVQA."
    )
    note = models.CharField(
        max_length=160, blank=True, help_text="What joins them, as in “Its metric ranks it.”"
    )

    panels: ClassVar[list[Any]] = [
        FieldPanel("benchmark"),
        FieldPanel("reported"),
        FieldPanel("note"),
    ]

    def clean(self) -> None:
        super().clean()
        if bool(self.benchmark_id) == bool(self.reported):
            raise ValidationError("Choose a leaderboard, or name reported figures: one of them.")
        known = leaderboard.reported_names()
        if self.reported and self.reported not in known:
            raise ValidationError({"reported": f"There is: {', '.join(known)}."})
