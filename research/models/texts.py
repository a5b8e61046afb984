"""Words of pages that are no pages of the CMS: what they say until an editor says otherwise."""

from typing import Any, ClassVar

from django.db import models
from wagtail.admin.panels import FieldPanel, MultiFieldPanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting

from research.validators import validate_link


@register_setting(icon="edit")
class SiteTexts(BaseSiteSetting):
    """The words of a site around its pages. Its name is the site's own, under Settings, Sites."""

    description = models.CharField(
        max_length=160, default="Try, measure and tune a small vision-language model.",
        help_text="For search engines, of pages that say nothing of themselves.",
    )  # fmt: skip
    call_label = models.CharField("label", max_length=30, default="Try in Browser")
    call_url = models.CharField(
        "address", max_length=200, default="/playground/", validators=[validate_link],
        help_text="/playground/ opens the playground over the page.",
    )  # fmt: skip
    not_found_title = models.CharField("title", max_length=100, default="Nothing at this address.")
    not_found_text = models.TextField(
        "text", max_length=400,
        default="The page may have moved, or never been. Nothing of yours is lost.",
    )  # fmt: skip
    leaderboards_title = models.CharField(
        "title", max_length=100, default="Numbers anyone can reproduce."
    )
    leaderboards_lead = models.TextField(
        "lead", max_length=400,
        default="A score here is computed from predictions, against references nobody outside can see, "
        "with an interval around it.",
    )  # fmt: skip
    playground_title = models.CharField("title", max_length=100, default="Ask an image.")
    playground_lead = models.TextField("lead", max_length=400, blank=True)
    no_leaderboards = models.CharField(
        "no leaderboard", max_length=200, default="An admin makes them with manage.py benchmarks."
    )
    no_entries = models.CharField(
        "a leaderboard without an entry", max_length=200,
        default="Our own variants are run in the background after the start; yours could be first.",
    )  # fmt: skip
    no_results = models.CharField(
        "a search that finds nothing", max_length=200, default="Try one word, or fewer of them."
    )
    no_prompts = models.CharField(
        "no prompt fits", max_length=200, default="Take a filter away, or propose it."
    )

    panels: ClassVar[list[Any]] = [
        FieldPanel("description"),
        MultiFieldPanel([FieldPanel("call_label"), FieldPanel("call_url")], heading="The header's call"),
        MultiFieldPanel(
            [FieldPanel("leaderboards_title"), FieldPanel("leaderboards_lead")], heading="Leaderboards"
        ),
        MultiFieldPanel(
            [FieldPanel("playground_title"), FieldPanel("playground_lead")], heading="Playground"
        ),
        MultiFieldPanel(
            [FieldPanel("not_found_title"), FieldPanel("not_found_text")], heading="Where nothing is"
        ),
        MultiFieldPanel(
            [FieldPanel(n) for n in ("no_leaderboards", "no_entries", "no_results", "no_prompts")],
            heading="What empty lists say",
        ),
    ]  # fmt: skip

    class Meta:
        verbose_name = "texts"
        verbose_name_plural = "texts"
