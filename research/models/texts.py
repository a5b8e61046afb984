"""Words of pages that are no pages of the CMS: what they say until an editor says otherwise."""

from typing import Any, ClassVar

from django.db import models
from wagtail.admin.panels import FieldPanel, MultiFieldPanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting

from research.validators import validate_link


def _empty(label: str, default: str) -> "models.CharField[str, str]":
    """What a list says while nothing is in it."""
    return models.CharField(label, max_length=200, default=default)


def _heading(label: str, default: str) -> "models.CharField[str, str]":
    """What stands above that, where a page gives it a heading."""
    return models.CharField(f"heading: {label}", max_length=100, default=default)


def _empties(room: str, *names: str) -> MultiFieldPanel:
    return MultiFieldPanel([FieldPanel(n) for n in names], heading=f"What empty lists say: {room}")


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
    offer_title = models.CharField(
        "title", max_length=100, blank=True, default="For photographs, take Moondream2.",
        help_text="Empty: nothing is offered.",
    )  # fmt: skip
    offer_text = models.TextField(
        "text", max_length=400, blank=True,
        default="One command fetches it and lets it answer here; a key for Moondream's cloud, or another server, does so elsewhere.",
    )  # fmt: skip
    no_leaderboards_title = _heading("no leaderboard", "No leaderboard yet")
    no_leaderboards = _empty("no leaderboard", "An admin makes them with manage.py benchmarks.")
    no_entries_title = _heading("a leaderboard without an entry", "No entry yet")
    no_entries = _empty(
        "a leaderboard without an entry",
        "Our own variants are run in the background after the start; yours could be first.",
    )
    no_results_title = _heading("a search that finds nothing", "Nothing is found")
    no_results = _empty("a search that finds nothing", "Try one word, or fewer of them.")
    no_prompts_title = _heading("no prompt fits", "No prompt is like that")
    no_prompts = _empty("no prompt fits", "Take a filter away, or propose it.")
    no_first = _empty(
        "a leaderboard in the list, without an entry", "No entry yet: yours could be the first."
    )
    no_fitting_title = _heading("no entry fits the filters", "No entry is like that")
    no_fitting = _empty("no entry fits the filters", "Take a filter away.")
    no_public_title = _heading(
        "a public split without a submission", "Nobody has submitted to the public split"
    )
    no_public = _empty(
        "a public split without a submission", "Its references can be downloaded, so that a score there is for "
        "yourself and for comparing item by item.",
    )  # fmt: skip
    no_ranking = _empty(
        "a challenge that ranks nobody", "Nobody is ranked yet: your team could be the first."
    )
    no_log = _empty("a log without a line", "Nothing yet.")
    no_proposals = _empty("nothing proposed by the reader", "None yet.")
    no_answers_title = _heading("a split without answers, for rewards", "No answers here yet")
    no_answers = _empty(
        "a split without answers, for rewards", "No run of ours has answered this split on this server. Ask the "
        "model below, or write an answer yourself.",
    )  # fmt: skip
    no_pages_title = _heading("a shelf of research without a page", "Nothing here")
    no_papers = _empty("no paper", "Nothing is published yet.")
    no_notebooks = _empty("no notebook", "None runs yet.")
    no_datasets = _empty("no dataset", "None is published yet.")
    no_challenges = _empty("no challenge", "None is announced yet.")
    no_releases = _empty("no release", "None yet.")
    no_cards = _empty("a column of the roadmap without a card", "Nothing here at the moment.")
    no_articles = _empty(
        "a section of the documentation without an article", "Nothing is written here yet."
    )
    no_measurements_title = _heading("variants nobody measured", "Not measured on this machine yet")
    no_measurements = _empty(
        "variants nobody measured",
        "An admin runs manage.py models report; the figures appear here.",
    )
    no_submissions_title = _heading("an account without a submission", "Nothing submitted yet")
    no_submissions = _empty(
        "an account without a submission",
        "Choose a leaderboard, run your model on its items, and send what it said.",
    )
    no_keys = _empty("an account without an API key", "None yet.")
    no_checks_title = _heading("no check of the site's parts", "No check has run yet")
    no_checks = _empty(
        "no check of the site's parts", "The scheduler runs the first within a minute of starting."
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
            [FieldPanel("offer_title"), FieldPanel("offer_text")],
            heading="While the embedded model is alone: what is offered on front page and playground",
        ),
        MultiFieldPanel(
            [FieldPanel("not_found_title"), FieldPanel("not_found_text")], heading="Where nothing is"
        ),
        _empties("leaderboards", "no_leaderboards_title", "no_leaderboards", "no_first", "no_entries_title", "no_entries", "no_fitting_title", "no_fitting", "no_public_title", "no_public",
                 "no_ranking", "no_log"),
        _empties("playground", "no_prompts_title", "no_prompts", "no_proposals", "no_answers_title", "no_answers"),
        _empties("research", "no_results_title", "no_results", "no_pages_title", "no_papers", "no_notebooks", "no_datasets", "no_challenges",
                 "no_releases", "no_cards", "no_articles", "no_measurements_title", "no_measurements"),
        _empties("account and status", "no_submissions_title", "no_submissions", "no_keys", "no_checks_title", "no_checks"),
    ]  # fmt: skip

    class Meta:
        verbose_name = "texts"
        verbose_name_plural = "texts"
