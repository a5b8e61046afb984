"""Pictures, tables, films and formulas: in every stream of blocks, and under the text of papers,
notebooks, datasets and release notes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString, mark_safe
from wagtail import blocks
from wagtail.blocks.struct_block import StructBlockValidationError
from wagtail.contrib.table_block.blocks import TableBlock as WagtailTable
from wagtail.images.blocks import ImageBlock

from research import maths

Context = dict[str, Any]


class FigureBlock(blocks.StructBlock):
    """A picture with what it shows, in words for who cannot see it."""

    image = ImageBlock()
    caption = blocks.CharBlock(required=False, max_length=300)

    class Meta:
        icon = "image"
        group = "Media"
        template = "research/blocks/image.html"
        description = "A picture with its description and a caption."

    def get_searchable_content(self, value: Any) -> list[str]:
        found: list[str] = super().get_searchable_content(value)
        image = value.get("image")
        return [*found, image.contextual_alt_text or ""] if image else found


ROWS, COLUMNS, CELL = 200, 12, 400


class DataTable(WagtailTable):
    """A table with a name and headings: without them nobody who cannot see it can read it."""

    def clean(self, value: Any) -> Any:
        """
        Raises:
            ValidationError: no name, no heading, or too large.
        """
        value = super().clean(value)
        if not value:
            return value
        problems = list(_table_problems(value))
        if problems:
            raise ValidationError(" ".join(problems))
        return value

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        value = value or {}
        rows = value.get("data") or []
        has_head = bool(rows and value.get("first_row_is_table_header"))
        return context | {
            "table_header": rows[0] if has_head else [], "data": rows[has_head:],
            "first_col_is_header": value.get("first_col_is_header"),
            "table_caption": value.get("table_caption"),
        }  # fmt: skip

    def render(self, value: Any, context: Context | None = None) -> Any:
        # As every block is: Wagtail's own table makes its context by itself.
        return blocks.FieldBlock.render(self, value, context)

    def get_searchable_content(self, value: Any) -> list[str]:
        rows = (value or {}).get("data", [])
        cells = [str(cell) for row in rows for cell in row if cell]
        return [(value or {}).get("table_caption") or "", *cells]

    class Meta:
        icon = "table"
        group = "Media"
        template = "research/blocks/table.html"
        description = "A table with headings; it scrolls on a narrow screen."
        preview_value: ClassVar[Context] = {
            "data": [["Precision", "MB"], ["FP16", "11.4"]], "first_row_is_table_header": True,
            "first_col_is_header": True, "table_caption": "What weights take",
        }  # fmt: skip


def _table_problems(value: Mapping[str, Any]) -> list[str]:
    rows = value.get("data") or []
    found = []
    if not (value.get("table_caption") or "").strip():
        found.append("Give the table a caption.")
    if not (value.get("first_row_is_table_header") or value.get("first_col_is_header")):
        found.append("Choose which row or column is the heading.")
    if len(rows) > ROWS or any(len(row) > COLUMNS for row in rows):
        found.append(f"At most {ROWS} rows and {COLUMNS} columns: offer more as a file.")
    if any(len(str(cell or "")) > CELL for row in rows for cell in row):
        found.append(f"A cell has at most {CELL} characters.")
    return found


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose films may be shown: nobody else gets a frame in our pages."""

    name: str
    watched_at: re.Pattern[str]
    """The address that people copy; its group is the film's id."""
    frame: str
    page: str

    def frame_of(self, address: str) -> str:
        """The frame's address; empty where it is another's film."""
        return self._made(self.frame, address)

    def page_of(self, address: str) -> str:
        """Where it is watched without us."""
        return self._made(self.page, address)

    def _made(self, form: str, address: str) -> str:
        match = self.watched_at.fullmatch(address.strip())
        return form.format(match[1]) if match else ""


PROVIDERS = (
    Provider(
        "YouTube",
        re.compile(
            r"https://(?:(?:www\.|m\.)?youtube\.com/(?:watch\?v=|embed/|shorts/)|youtu\.be/|"
            r"www\.youtube-nocookie\.com/embed/)([\w-]{11})(?:[?&#].*)?"
        ),
        "https://www.youtube-nocookie.com/embed/{}", "https://www.youtube.com/watch?v={}",
    ),
    Provider(
        "Vimeo", re.compile(r"https://(?:www\.|player\.)?vimeo\.com/(?:video/)?(\d{6,12})(?:[?#/].*)?"),
        "https://player.vimeo.com/video/{}?dnt=1", "https://vimeo.com/{}",
    ),
)  # fmt: skip
FRAMES = tuple(f"https://{provider.frame.split('/')[2]}" for provider in PROVIDERS)
"""Whose frames the site's policy lets in; `settings.CONTENT_SECURITY_POLICY` names them too."""


def provider_of(address: str) -> Provider | None:
    """Whose film an address names; None for what is not shown here."""
    return next((p for p in PROVIDERS if p.watched_at.fullmatch(address.strip())), None)


class FilmBlock(blocks.StructBlock):
    """A film elsewhere: nothing is asked of its server before the reader wants to see it."""

    url = blocks.URLBlock(label="Address", help_text="Of a film at YouTube or Vimeo.")
    title = blocks.CharBlock(max_length=120, help_text="What it shows: the frame's name.")
    caption = blocks.CharBlock(required=False, max_length=300)

    def clean(self, value: Any) -> Any:
        """
        Raises:
            ValidationError: it is at no provider that is known here.
        """
        value = super().clean(value)
        if provider_of(value["url"]) is None:
            names = " or ".join(p.name for p in PROVIDERS)
            problem = ValidationError(f"Give the address of one film at {names}.")
            raise StructBlockValidationError(block_errors={"url": problem})
        return value

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        provider = provider_of(value.get("url") or "")
        if provider is not None:
            context |= {
                "provider": provider.name, "frame": provider.frame_of(value["url"]),
                "page": provider.page_of(value["url"]),
            }  # fmt: skip
        return context

    class Meta:
        icon = "media"
        group = "Media"
        template = "research/blocks/film.html"
        description = "A film at YouTube or Vimeo, loaded when it is asked for."
        preview_value: ClassVar[Context] = {
            "url": "https://vimeo.com/76979871", "title": "A film",
        }  # fmt: skip


class MathsBlock(blocks.StructBlock):
    """A formula, written in TeX and drawn by the browser."""

    tex = blocks.TextBlock(
        label="TeX", max_length=maths.MOST, help_text="Without dollar signs, as in E = mc^2."
    )
    name = blocks.CharBlock(required=False, max_length=60, help_text="As in “Equation 1”.")

    def clean(self, value: Any) -> Any:
        """
        Raises:
            ValidationError: it cannot be drawn.
        """
        value = super().clean(value)
        try:
            maths.mathml(value["tex"])
        except maths.NotMaths as error:
            problem = ValidationError(str(error))
            raise StructBlockValidationError(block_errors={"tex": problem}) from error
        return value

    def get_context(self, value: Any, parent_context: Context | None = None) -> Context:
        context: Context = super().get_context(value, parent_context=parent_context)
        context["mathml"] = _drawn(value.get("tex") or "")
        return context

    class Meta:
        icon = "decimal"
        group = "Media"
        template = "research/blocks/maths.html"
        description = "A formula in TeX, as MathML."
        preview_value: ClassVar[Context] = {"tex": r"E = mc^2", "name": "Equation 1"}


def _drawn(tex: str) -> SafeString:
    """MathML; empty for what an import may have left that cannot be drawn."""
    try:
        return mark_safe(maths.mathml(tex))  # noqa: S308  # made of known elements alone
    except maths.NotMaths:
        return mark_safe("")


MEDIA = [
    ("image", FigureBlock()),
    ("table", DataTable()),
    ("film", FilmBlock()),
    ("maths", MathsBlock()),
]
