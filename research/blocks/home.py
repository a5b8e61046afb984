"""Sections of the front page that show live things: the playground, the library, the roadmap."""

from typing import Any, ClassVar

from wagtail import blocks
from wagtail.images.blocks import ImageBlock

from research import selectors, snippets
from research.blocks.sections import (
    Context,
    FigureMixin,
    HeadedBlock,
    IntroducedBlock,
    sample_choices,
)
from research.validators import validate_anchor, validate_link


class PlaygroundBlock(FigureMixin, IntroducedBlock):
    """The playground itself, opened in place: no signup, nothing is loaded before it is asked for."""

    open_label = blocks.CharBlock(default="Open it here", max_length=40)
    sample = blocks.ChoiceBlock(
        choices=sample_choices, required=False, help_text="The figure beside."
    )
    skill = blocks.ChoiceBlock(
        choices=[("detect", "Boxes"), ("point", "Points"), ("query", "Answer")], default="query"
    )

    class Meta:
        icon = "crosshairs"
        group = "Live sections"
        template = "research/blocks/playground.html"
        description = "The playground, opened in the page."
        preview_value: ClassVar[Context] = {"title": "Ask it now.", "open_label": "Open it here"}


class TeaserBlock(IntroducedBlock):
    """Three columns: papers and benchmarks, notebooks, challenges; each the newest, live."""

    class Meta:
        icon = "openquote"
        group = "Live sections"
        template = "research/blocks/teaser.html"
        description = "The newest papers, notebooks and challenges, in three columns."
        preview_value: ClassVar[Context] = {"title": "Read it, run it, beat it."}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["hub"] = selectors.teaser()
        return context


class StageBlock(blocks.StructBlock):
    """One stage of the training."""

    name = blocks.CharBlock(max_length=60)
    claim = blocks.CharBlock(max_length=120, help_text="What the stage is for, in one line.")
    text = blocks.RichTextBlock(features=["bold", "italic", "link", "code"])
    sources = blocks.ListBlock(
        blocks.PageChooserBlock(page_type=["research.PaperPage", "research.NotebookPage"]),
        required=False, max_num=3, help_text="The paper behind it, the notebook that runs it.",
    )  # fmt: skip
    anchor = blocks.CharBlock(
        required=False, max_length=60, validators=[validate_anchor],
        help_text="Section of the paper: its anchor, without “sec-”.",
    )  # fmt: skip
    preview = blocks.CharBlock(
        required=False, max_length=40, help_text="Shown on hover and focus: “Click to configure”."
    )
    picture = ImageBlock(required=False)


class PipelineBlock(HeadedBlock):
    """How the model is trained: stages, one open at a time, each with its paper and its notebook."""

    text = blocks.RichTextBlock(required=False, features=["bold", "italic", "link"])
    stages = blocks.ListBlock(StageBlock(), min_num=1)
    call_label = blocks.CharBlock(required=False, max_length=40)
    call_url = blocks.CharBlock(required=False, max_length=200, validators=[validate_link])

    class Meta:
        icon = "cogs"
        group = "Live sections"
        template = "research/blocks/pipeline.html"
        description = "Stages of the training as an accordion, each linked to its paper."
        preview_value: ClassVar[Context] = {
            "title": "How it learns.",
            "stages": [{"name": "See", "claim": "Patches first.", "text": "<p>Then words.</p>"}],
        }

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        stages = value["stages"]
        selectors.pictures_prefetch(stage.get("picture") for stage in stages)
        context["stages"] = list(zip(stages, selectors.stage_links(stages), strict=True))
        return context


class SdkBlock(IntroducedBlock):
    """The quickstart in three languages; Run sends the request to this server."""

    class Meta:
        icon = "code"
        group = "Live sections"
        template = "research/blocks/sdk.html"
        description = "Code in three languages with a live run."
        preview_value: ClassVar[Context] = {"title": "Three lines from your own code."}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        site = snippets.address_of((parent_context or {}).get("request"))
        context["quickstart"] = snippets.quickstart(site)
        return context


class DomainBlock(blocks.StructBlock):
    """One field of use."""

    name = blocks.CharBlock(max_length=60)
    text = blocks.CharBlock(max_length=200)
    sample = blocks.ChoiceBlock(choices=sample_choices)
    skill = blocks.ChoiceBlock(
        choices=[("query", "Answer"), ("detect", "Boxes"), ("point", "Points")], default="query"
    )


class DomainsBlock(IntroducedBlock):
    """Demonstrations by field; each opens the playground with its image and prompt."""

    domains = blocks.ListBlock(DomainBlock(), min_num=1)

    class Meta:
        icon = "tasks"
        group = "Live sections"
        template = "research/blocks/domains.html"
        description = "Fields of use with the model's own output; each opens the playground."
        preview_value: ClassVar[Context] = {
            "title": "Made for a job.",
            "domains": [{"name": "Shapes", "text": "Count them.", "sample": "night"}],
        }

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["shown"] = [
            (domain, selectors.answer_figure(domain["sample"], domain.get("skill") or "query"))
            for domain in value["domains"]
        ]
        return context


class FactsBlock(HeadedBlock):
    """A narrow slice of facts, each with its source."""

    facts = blocks.ListBlock(
        blocks.StructBlock(
            [
                ("fact", blocks.CharBlock(max_length=60)),
                ("text", blocks.RichTextBlock(features=["bold", "italic", "link", "code"])),
            ]
        ),
        max_num=4,
    )

    class Meta:
        icon = "site"
        group = "Sections"
        template = "research/blocks/facts.html"
        description = "Up to four facts side by side."
        preview_value: ClassVar[Context] = {
            "title": "Where it runs.",
            "facts": [{"fact": "Your own machine", "text": "<p>One command.</p>"}],
        }


class RoadmapBlock(IntroducedBlock):
    """The roadmap's cards, from their own pages."""

    class Meta:
        icon = "date"
        group = "Live sections"
        template = "research/blocks/roadmap.html"
        description = "Research, alpha, production: the roadmap's newest cards."
        preview_value: ClassVar[Context] = {"title": "What comes, and when."}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["columns"] = selectors.roadmap()
        return context
