"""What an article of the documentation is made of."""

from typing import Any, ClassVar

from wagtail import blocks

from inference.errors import catalogue
from research.blocks.media import MEDIA
from research.blocks.sections import Context, with_address

LANGUAGES = [
    ("python", "Python"), ("javascript", "JavaScript"), ("shell", "cURL"), ("json", "JSON"),
    ("text", "Text"),
]  # fmt: skip


class CodeTabsBlock(blocks.StructBlock):
    """The same thing in several languages; the reader's choice holds on every page."""

    title = blocks.CharBlock(required=False, max_length=80)
    tabs = blocks.ListBlock(
        blocks.StructBlock(
            [
                ("language", blocks.ChoiceBlock(choices=LANGUAGES)),
                ("code", blocks.TextBlock(help_text="{base_url} becomes this server's address.")),
            ]
        ),
        min_num=1,
    )

    class Meta:
        icon = "code"
        template = "research/blocks/code_tabs.html"
        description = "Code in tabs, with a copy button."
        preview_value: ClassVar[dict[str, Any]] = {
            "tabs": [{"language": "python", "code": "print(1)"}]
        }

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        labels = dict(LANGUAGES)
        context["tabs"] = [
            {
                "language": tab["language"],
                "label": labels[tab["language"]],
                "code": with_address(tab["code"], parent_context),
            }
            for tab in value["tabs"]
        ]
        return context


class NoteBlock(blocks.StructBlock):
    """Something to know, or to beware of."""

    tone = blocks.ChoiceBlock(choices=[("info", "Note"), ("warn", "Beware")], default="info")
    text = blocks.RichTextBlock(features=["bold", "italic", "link", "code"])

    class Meta:
        icon = "help"
        template = "research/blocks/note.html"
        description = "A note beside the text."
        preview_value: ClassVar[dict[str, str]] = {"tone": "info", "text": "<p>Mind this.</p>"}


class ProseBlock(blocks.RichTextBlock):
    """Running text."""

    class Meta:
        icon = "doc-full"
        template = "research/blocks/article_prose.html"
        description = "Headings and paragraphs."
        preview_value = "<h2>A heading</h2><p>And a paragraph.</p>"


class ErrorsBlock(blocks.StructBlock):
    """The catalogue of the API's errors, from the code that raises them."""

    title = blocks.CharBlock(max_length=80, default="Every error, by its code")

    class Meta:
        icon = "warning"
        template = "research/blocks/errors.html"
        description = "The API's error codes, from the server itself."
        preview_value: ClassVar[dict[str, str]] = {"title": "Every error, by its code"}

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["errors"] = catalogue()
        return context

    def get_searchable_content(self, value: Any) -> list[str]:
        """Codes and what is said of them: whoever meets one searches for it."""
        found: list[str] = super().get_searchable_content(value)
        return found + [f"{kind.code} {kind.title} {kind.hint}" for kind in catalogue()]


DETAILS = [
    ("prose", ProseBlock(features=["h2", "h3", "bold", "italic", "link", "code", "ol", "ul"])),
    ("code", CodeTabsBlock()),
    ("note", NoteBlock()),
    *MEDIA,
]
"""What may stand under the text of a paper, a notebook, a dataset, a release, a card of the roadmap."""
ARTICLE = [*DETAILS, ("errors", ErrorsBlock())]
