"""Sections of any page. Each has a template and a preview of its own."""

from typing import Any, ClassVar

from wagtail import blocks

from inference import page_cache
from inference import selectors as inference
from inference.world.samples import SAMPLES
from leaderboard import selectors as leaderboard
from pricing import selectors as pricing
from research import selectors, snippets
from research.validators import validate_link

Context = dict[str, Any]
ACCENTS = [(a, a.title()) for a in ("blue", "purple", "teal", "green", "amber", "slate")]


def sample_choices() -> list[tuple[str, str]]:
    """The samples an editor may choose."""
    return [(s.slug, s.alt) for s in SAMPLES]


def with_address(code: str, parent_context: Context | None) -> str:
    """Code with this server's address in the place of {base_url}."""
    base = snippets.address_of((parent_context or {}).get("request"))
    return code.replace("{base_url}", f"{base}/v1").replace("{site}", base)


class HeadedBlock(blocks.StructBlock):
    """A section under a title."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    title = blocks.CharBlock(max_length=120)


class IntroducedBlock(HeadedBlock):
    """A section under a title, with a sentence or two."""

    text = blocks.TextBlock(required=False)


class FigureMixin(blocks.StructBlock):
    """Adds the sample's figure (image with the model's own answer) to the template."""

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["figure"] = selectors.answer_figure(
            value.get("sample") or "", value.get("skill") or "detect"
        )
        return context


class HeroBlock(FigureMixin):
    """The first thing a visitor sees: a claim, one call, one figure of the model at work."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    headline = blocks.CharBlock(max_length=120, help_text="One claim. Every number needs a source.")
    lede = blocks.RichTextBlock(
        features=["bold", "italic", "link"],
        max_length=600,
        help_text="Link every number to the row or the paper it comes from.",
    )
    figure = blocks.ChoiceBlock(
        choices=[("chart", "Mini-benchmark"), ("answer", "The model's own output")],
        default="chart",
        help_text="What stands on the right.",
    )
    primary_label = blocks.CharBlock(default="Try Moondream in Browser", max_length=40)
    secondary_label = blocks.CharBlock(required=False, max_length=40)
    secondary_url = blocks.CharBlock(required=False, max_length=200, validators=[validate_link])
    sample = blocks.ChoiceBlock(choices=sample_choices, help_text="The figure's image.")
    skill = blocks.ChoiceBlock(choices=[("detect", "Boxes"), ("query", "Answer")], default="detect")

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        if value.get("figure") == "chart":
            context["charts"] = leaderboard.mini_benchmark()
        return context

    class Meta:
        icon = "pick"
        group = "Sections"
        template = "research/blocks/hero.html"
        description = "Headline with the playground call and a figure of the model's own output."
        preview_value: ClassVar[dict[str, str]] = {
            "eyebrow": "Small vision-language models",
            "headline": "A small model you can check yourself.",
            "lede": "<p>Ask about an image and watch the answer arrive.</p>",
            "figure": "answer",
            "primary_label": "Try Moondream in Browser",
            "sample": "night",
            "skill": "detect",
        }


class FeatureBlock(FigureMixin, HeadedBlock):
    """A claim with its evidence beside it."""

    text = blocks.RichTextBlock(features=["bold", "italic", "link", "code", "ul"])
    link_label = blocks.CharBlock(required=False, max_length=40)
    link_url = blocks.CharBlock(required=False, max_length=200, validators=[validate_link])
    accent = blocks.ChoiceBlock(choices=ACCENTS, default="green")
    flip = blocks.BooleanBlock(required=False, help_text="Figure on the left.")
    sample = blocks.ChoiceBlock(choices=sample_choices, required=False)
    skill = blocks.ChoiceBlock(
        choices=[
            ("detect", "Boxes"),
            ("point", "Points"),
            ("query", "Answer"),
            ("caption", "Caption"),
        ],
        default="query",
    )

    class Meta:
        icon = "image"
        group = "Sections"
        template = "research/blocks/feature.html"
        description = "Text beside a figure of the model's own output."
        preview_value: ClassVar[dict[str, Any]] = {
            "eyebrow": "Evidence",
            "title": "The figure is the model's own answer.",
            "text": "<p>Not a drawing of one.</p>",
            "sample": "night",
            "skill": "query",
            "accent": "green",
        }


class RowsBlock(HeadedBlock):
    """A list of terms, each with a sentence or two: what works, what comes."""

    rows = blocks.ListBlock(
        blocks.StructBlock(
            [
                ("term", blocks.CharBlock(max_length=80)),
                ("text", blocks.RichTextBlock(features=["bold", "italic", "link", "code"])),
            ]
        )
    )

    class Meta:
        icon = "list-ul"
        group = "Sections"
        template = "research/blocks/rows.html"
        description = "Terms with explanations, one under the other."
        preview_value: ClassVar[dict[str, Any]] = {
            "title": "What works today",
            "rows": [{"term": "Caption", "text": "<p>Three lengths.</p>"}],
        }


class ProseBlock(blocks.StructBlock):
    """Plain text, set for reading."""

    text = blocks.RichTextBlock(
        features=["h2", "h3", "bold", "italic", "link", "code", "ol", "ul", "document-link"]
    )

    class Meta:
        icon = "doc-full"
        group = "Sections"
        template = "research/blocks/prose.html"
        description = "Headings and paragraphs."
        preview_value: ClassVar[dict[str, str]] = {
            "text": "<h2>A heading</h2><p>And a paragraph.</p>"
        }


class CodeBlock(blocks.StructBlock):
    """One snippet. `{base_url}` becomes this server's address."""

    title = blocks.CharBlock(required=False, max_length=80)
    language = blocks.CharBlock(max_length=20)
    code = blocks.TextBlock()

    class Meta:
        icon = "code"
        group = "Sections"
        template = "research/blocks/code.html"
        description = "Code with a copy button; {base_url} is replaced by this server's address."
        preview_value: ClassVar[dict[str, str]] = {"language": "Python", "code": "print('hello')"}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["code"] = with_address(value["code"], parent_context)
        return context


class VariantsBlock(IntroducedBlock):
    """The installed variants side by side, as this server measured them, with what they cost."""

    class Meta:
        icon = "table"
        group = "Sections"
        template = "research/blocks/variants.html"
        description = "Memory, latency and accuracy of each variant, from this server's own runs."
        preview_value: ClassVar[dict[str, str]] = {"title": "What a precision costs"}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["measurements"] = inference.latest_measurements()
        found = page_cache.remember("calculator", pricing.calculator)
        context["costs"] = [cost for cost in found.costs if cost.skill == "caption"]
        context["plans"] = found.plans
        return context


class CallBlock(blocks.StructBlock):
    """One sentence, one button."""

    title = blocks.CharBlock(max_length=120)
    text = blocks.TextBlock(required=False)
    label = blocks.CharBlock(max_length=40)
    url = blocks.CharBlock(max_length=200, validators=[validate_link])
    accent = blocks.ChoiceBlock(choices=ACCENTS, default="green")

    class Meta:
        icon = "bullhorn"
        group = "Sections"
        template = "research/blocks/call.html"
        description = "A closing call to do one thing."
        preview_value: ClassVar[dict[str, str]] = {
            "title": "Ask it something.",
            "label": "Open the playground",
            "url": "/playground/",
            "accent": "green",
        }
