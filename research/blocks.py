"""Sections that pages are made of. Each has a template and a preview of its own."""

from typing import Any, ClassVar

from wagtail import blocks

from inference import selectors as inference
from inference.world.samples import SAMPLES
from research import selectors


def _sample_choices() -> list[tuple[str, str]]:
    return [(s.slug, s.alt) for s in SAMPLES]


class FigureMixin(blocks.StructBlock):
    """Adds the sample's figure (image with the model's own answer) to the template."""

    def get_context(
        self, value: Any, parent_context: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(value, parent_context=parent_context)
        context["figure"] = selectors.answer_figure(
            value.get("sample") or "", value.get("skill") or "detect"
        )
        return context


class HeroBlock(FigureMixin):
    """The first thing a visitor sees: a claim, one call, one figure of the model at work."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    headline = blocks.CharBlock(max_length=120, help_text="One claim. Every number needs a source.")
    lede = blocks.TextBlock(max_length=320)
    primary_label = blocks.CharBlock(default="Try Moondream in Browser", max_length=40)
    secondary_label = blocks.CharBlock(required=False, max_length=40)
    secondary_url = blocks.CharBlock(required=False, max_length=200)
    sample = blocks.ChoiceBlock(choices=_sample_choices, help_text="The figure's image.")
    skill = blocks.ChoiceBlock(choices=[("detect", "Boxes"), ("query", "Answer")], default="detect")

    class Meta:
        icon = "pick"
        group = "Sections"
        template = "research/blocks/hero.html"
        description = "Headline with the playground call and a figure of the model's own output."
        preview_value: ClassVar[dict[str, str]] = {
            "eyebrow": "Small vision-language models",
            "headline": "A small model you can check yourself.",
            "lede": "Ask about an image and watch the answer arrive.",
            "primary_label": "Try Moondream in Browser",
            "sample": "night",
            "skill": "detect",
        }


class FeatureBlock(FigureMixin):
    """A claim with its evidence beside it."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    title = blocks.CharBlock(max_length=120)
    text = blocks.RichTextBlock(features=["bold", "italic", "link", "code", "ul"])
    link_label = blocks.CharBlock(required=False, max_length=40)
    link_url = blocks.CharBlock(required=False, max_length=200)
    accent = blocks.ChoiceBlock(
        choices=[(a, a.title()) for a in ("blue", "purple", "teal", "green", "amber", "slate")],
        default="green",
    )
    flip = blocks.BooleanBlock(required=False, help_text="Figure on the left.")
    sample = blocks.ChoiceBlock(choices=_sample_choices, required=False)
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


class RowsBlock(blocks.StructBlock):
    """A list of terms, each with a sentence or two: what works, what comes."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    title = blocks.CharBlock(max_length=120)
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

    def get_context(
        self, value: Any, parent_context: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(value, parent_context=parent_context)
        request = (parent_context or {}).get("request")
        base = (
            f"{request.scheme}://{request.get_host()}/v1" if request else "http://localhost:8000/v1"
        )
        context["code"] = value["code"].replace("{base_url}", base)
        return context


class VariantsBlock(blocks.StructBlock):
    """The installed variants side by side, as this server measured them."""

    eyebrow = blocks.CharBlock(required=False, max_length=60)
    title = blocks.CharBlock(max_length=120)
    text = blocks.TextBlock(required=False)

    class Meta:
        icon = "table"
        group = "Sections"
        template = "research/blocks/variants.html"
        description = "Memory, latency and accuracy of each variant, from this server's own runs."
        preview_value: ClassVar[dict[str, str]] = {"title": "What a precision costs"}

    def get_context(
        self, value: Any, parent_context: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(value, parent_context=parent_context)
        context["measurements"] = inference.latest_measurements()
        return context


class CallBlock(blocks.StructBlock):
    """One sentence, one button."""

    title = blocks.CharBlock(max_length=120)
    text = blocks.TextBlock(required=False)
    label = blocks.CharBlock(max_length=40)
    url = blocks.CharBlock(max_length=200)
    accent = blocks.ChoiceBlock(
        choices=[(a, a.title()) for a in ("blue", "purple", "teal", "green", "amber", "slate")],
        default="green",
    )

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


SECTIONS = [
    ("hero", HeroBlock()),
    ("feature", FeatureBlock()),
    ("rows", RowsBlock()),
    ("prose", ProseBlock()),
    ("code", CodeBlock()),
    ("variants", VariantsBlock()),
    ("call", CallBlock()),
]
