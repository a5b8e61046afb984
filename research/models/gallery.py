"""Notebooks and datasets: what a researcher runs, and on what."""

import re
from pathlib import PurePosixPath
from typing import Any, ClassVar

from django.core.validators import FileExtensionValidator
from django.db import models
from django.http import HttpRequest
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel
from wagtail.documents import get_document_model_string
from wagtail.fields import RichTextField
from wagtail.images import get_image_model_string
from wagtail.search import index

from research import selectors, structured
from research.models.base import PROSE, BasePage, DetailsMixin, SampleMixin, grouped
from research.models.library import ShelfPage
from research.notebooks import check_notebook
from research.validators import validate_licence


class NotebooksPage(ShelfPage):
    """The gallery of notebooks."""

    subpage_types: ClassVar[list[str]] = ["research.NotebookPage"]
    feed = "notebooks"
    item_model = "NotebookPage"
    card = "research/cards/notebook.html"
    empty = "No notebook fits."


class NotebookTag(TaggedItemBase):
    """A tag of a notebook."""

    content_object = ParentalKey(
        "research.NotebookPage", related_name="tagged_items", on_delete=models.CASCADE
    )


class NotebookPage(DetailsMixin, BasePage):  # type: ignore[django-manager-missing]
    """A notebook that runs: its preview, its downloads and how its last run went."""

    lede = models.TextField(max_length=400)
    published_on = models.DateField()
    file = models.FileField(
        upload_to="notebooks",
        validators=[FileExtensionValidator(["ipynb"]), check_notebook],
        help_text="An .ipynb file; its outputs are shown, cleaned.",
    )
    source_path = models.CharField(
        max_length=200,
        blank=True,
        help_text="Its path in the site's repository, for Colab and Binder.",
    )
    thumbnail = models.ForeignKey(
        get_image_model_string(), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    tags = ClusterTaggableManager(through=NotebookTag, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("lede"),
        FieldPanel("published_on"),
        FieldPanel("file"),
        FieldPanel("source_path"),
        FieldPanel("thumbnail"),
        FieldPanel("details"),
        FieldPanel("tags"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("lede"),
        index.SearchField("details"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.NotebooksPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/notebook_page.html"

    @property
    def file_name(self) -> str:
        return re.sub(r"[^\w.-]", "-", PurePosixPath(self.source_path or str(self.file.name)).name)

    def structured_data(self, request: HttpRequest) -> dict[str, Any]:
        return structured.source_code(self, request)

    def get_context(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(request, *args, **kwargs)
        context["notebook"] = selectors.notebook(self)
        return context


class DatasetsPage(ShelfPage):
    """The list of datasets."""

    subpage_types: ClassVar[list[str]] = ["research.DatasetPage"]
    feed = "notebooks"
    item_model = "DatasetPage"
    card = "research/cards/dataset.html"
    empty = "No dataset fits."


class DatasetTag(TaggedItemBase):
    """A tag of a dataset."""

    content_object = ParentalKey(
        "research.DatasetPage", related_name="tagged_items", on_delete=models.CASCADE
    )


class DatasetPage(DetailsMixin, SampleMixin, BasePage):  # type: ignore[django-manager-missing]
    """A dataset with its card: what is in it, how large, under which licence."""

    lede = models.TextField(max_length=400)
    published_on = models.DateField()
    card = RichTextField(
        features=PROSE, help_text="What it holds, how it was made, what it is not for."
    )
    items = models.PositiveIntegerField(help_text="How many images.")
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    licence = models.CharField(max_length=60, validators=[validate_licence])
    home_url = models.URLField("home", blank=True, help_text="Where it is published.")
    file = models.ForeignKey(
        get_document_model_string(), null=True, blank=True, on_delete=models.SET_NULL,
        related_name="+", help_text="To download from here.",
    )  # fmt: skip
    thumbnail = models.ForeignKey(
        get_image_model_string(), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    tags = ClusterTaggableManager(through=DatasetTag, blank=True)

    content_panels: ClassVar[list[Any]] = [
        *BasePage.content_panels,
        FieldPanel("lede"),
        grouped(
            "published_on", "items", "size_bytes", "licence", "is_sample", heading="What it is"
        ),
        FieldPanel("card"),
        FieldPanel("details"),
        FieldPanel("home_url"),
        FieldPanel("file"),
        FieldPanel("thumbnail"),
        FieldPanel("tags"),
    ]
    search_fields: ClassVar[list[Any]] = [
        *BasePage.search_fields,
        index.SearchField("lede"),
        index.SearchField("card"),
        index.SearchField("details"),
    ]
    parent_page_types: ClassVar[list[str]] = ["research.DatasetsPage"]
    subpage_types: ClassVar[list[str]] = []
    template = "research/dataset_page.html"

    def structured_data(self, request: HttpRequest) -> dict[str, Any]:
        return structured.dataset(self, request)
