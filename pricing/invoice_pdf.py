"""An invoice as a PDF: the same bytes for the same invoice, its text selectable, in any script.

Noto Sans has letters of Latin, Greek and Cyrillic; what it lacks comes from the font of the script, and what no
such font has from GNU Unifont, which has a sign for nearly every letter of Unicode's first two planes. Fonts are read only
where their letters occur, and only these are put into the file.
"""

import functools
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricing.models import Invoice
from pricing.selectors.invoices import InvoicePage, invoice_page

if TYPE_CHECKING:
    from fpdf import FPDF

FONTS = Path(__file__).parent / "fonts"
_MAIN = "NotoSans-Regular"
_SCRIPTS = (
    "NotoSansArabic-Regular", "NotoSansHebrew-Regular", "NotoSansDevanagari-Regular", "NotoSansBengali-Regular",
    "NotoSansGujarati-Regular", "NotoSansGurmukhi-Regular", "NotoSansTamil-Regular", "NotoSansTelugu-Regular",
    "NotoSansKannada-Regular", "NotoSansMalayalam-Regular", "NotoSansOriya-Regular", "NotoSansSinhala-Regular",
    "NotoSansThai-Regular", "NotoSansLao-Regular", "NotoSansKhmer-Regular", "NotoSansMyanmar-Regular",
    "NotoSansGeorgian-Regular", "NotoSansArmenian-Regular", "NotoSansEthiopic-Regular", "DroidSansFallbackFull",
    "NanumGothic", "unifont", "unifont_upper",
)  # fmt: skip
"""In the order in which they are asked for a letter."""
_INK, _QUIET, _LINE = (24, 28, 38), (92, 100, 116), (205, 210, 220)
_MARGIN = 20.0
_WIDTHS = (92.0, 22.0, 28.0, 28.0)
"""Of the columns, in mm, as wide as an A4 page between its margins."""
_WRITTEN = {" ", "\n", "\t", "\u200c", "\u200d", "\u200e", "\u200f", "\u00a0", "\ufeff", "\ufe0f"}
"""Without a sign of their own."""


@functools.cache
def _letters(font: str) -> frozenset[int]:
    """The code points that a font has."""
    from fontTools.ttLib import TTFont

    with TTFont(_path(font), lazy=True) as read:
        return frozenset(read.getBestCmap())


def _path(font: str) -> Path:
    return next(FONTS.glob(f"{font}.[to]tf"))


def fonts_for(text: str) -> list[str]:
    """The fonts that a text needs beside the main one."""
    left = {ord(c) for c in text if c not in _WRITTEN} - _letters(_MAIN)
    found: list[str] = []
    for font in _SCRIPTS:
        if not left:
            break
        if left & _letters(font):
            found.append(font)
            left -= _letters(font)
    return found


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def invoice_pdf(invoice: Invoice) -> bytes:
    """The invoice's document."""
    from fpdf import FPDF

    class Document(FPDF):
        def footer(self) -> None:
            self.set_y(-15)
            self.set_font("main", size=8)
            self.set_text_color(*_QUIET)
            self.cell(
                0, 5, f"{shown.kind} {invoice.number}, page {self.page_no()} of {{nb}}", align="C"
            )

    shown = invoice_page(invoice)
    pdf = Document(format="A4")
    _fonts_set(pdf, "".join(_texts([invoice.seller, invoice.buyer, invoice.lines, shown.usage])))
    _about_set(pdf, shown, invoice.issued_at)
    pdf.set_margins(_MARGIN, _MARGIN, _MARGIN)
    pdf.set_auto_page_break(auto=True, margin=22)
    pdf.add_page()
    _head(pdf, shown)
    _parties(pdf, shown)
    _lines(pdf, shown)
    _sums(pdf, shown)
    _usage(pdf, shown)
    _note(pdf, shown)
    return bytes(pdf.output())


def _fonts_set(pdf: "FPDF", text: str) -> None:
    pdf.add_font("main", fname=_path(_MAIN))
    pdf.add_font("main", "B", _path("NotoSans-Bold"))
    needed = fonts_for(text)
    for font in needed:
        pdf.add_font(font, fname=_path(font))
    if needed:
        pdf.set_fallback_fonts(needed, exact_match=False)
    # Arabic and Indian letters are joined, and lines of Arabic and Hebrew run from the right.
    pdf.set_text_shaping(use_shaping_engine=True)


def _about_set(pdf: "FPDF", shown: InvoicePage, issued_at: datetime) -> None:
    pdf.set_title(f"{shown.kind} {shown.invoice.number}")
    pdf.set_author(shown.invoice.seller.get("name", ""))
    pdf.set_creator("Moondream hub")
    pdf.set_producer("fpdf2")
    pdf.set_lang("en")
    pdf.set_creation_date(issued_at)  # the same each time it is made


def _text(
    pdf: "FPDF", text: str, *, size: float = 9.5, style: str = "", ink: tuple[int, int, int] = _INK,
    width: float = 0, align: str = "L", height: float = 5,
) -> None:  # fmt: skip
    pdf.set_font("main", style, size)
    pdf.set_text_color(*ink)
    pdf.multi_cell(width, height, text or " ", align=align, new_x="LEFT", new_y="NEXT")


def _head(pdf: "FPDF", shown: InvoicePage) -> None:
    _text(pdf, shown.kind, size=22, style="B", height=11)
    rows = [("Number", shown.invoice.number), ("Issued", f"{shown.invoice.issued_at:%-d %B %Y}")]
    if shown.invoice.paid_at:
        rows.append(("Paid", f"{shown.invoice.paid_at:%-d %B %Y}"))
    if shown.corrects:
        rows.append(("Corrects", shown.corrects))
    for label, value in rows:
        pdf.set_font("main", size=9.5)
        pdf.set_text_color(*_QUIET)
        pdf.cell(24, 5.5, label)
        _text(pdf, value, height=5.5)
        pdf.set_x(_MARGIN)
    if shown.invoice.is_test:
        _text(
            pdf, "Made in the payment service’s test mode: no money was taken.", style="B", height=7
        )
    pdf.ln(6)


def _parties(pdf: "FPDF", shown: InvoicePage) -> None:
    top, low = pdf.get_y(), 0.0
    for x, heading, rows in (
        (_MARGIN, "From", shown.seller_rows),
        (_MARGIN + 90, "To", shown.buyer_rows),
    ):
        pdf.set_xy(x, top)
        _text(pdf, heading, ink=_QUIET, width=80)
        for number, row in enumerate(rows):
            pdf.set_x(x)
            _text(pdf, row, style="" if number else "B", width=80)
        low = max(low, pdf.get_y())
    pdf.set_xy(_MARGIN, low + 8)


def _table(pdf: "FPDF", head: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: tuple[float, ...]) -> None:  # fmt: skip
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    pdf.set_font("main", size=9.5)
    pdf.set_text_color(*_INK)
    pdf.set_draw_color(*_LINE)
    align = ("LEFT", *("RIGHT" for _ in widths[1:]))
    with pdf.table(
        col_widths=widths, text_align=align, line_height=5.5, padding=(1.5, 1),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="B", color=_QUIET),
    ) as table:  # fmt: skip
        for row in (head, *rows):
            table.row(row)


def _lines(pdf: "FPDF", shown: InvoicePage) -> None:
    head = ("What", "Quantity", "Each", "Sum")
    rows = [(f"{line.text}\n{line.period}".strip(), line.quantity, line.unit, line.amount) for line in shown.lines]  # fmt: skip
    _table(pdf, head, rows, _WIDTHS)
    pdf.ln(3)


def _sums(pdf: "FPDF", shown: InvoicePage) -> None:
    for label, value, style in shown.sums:
        pdf.set_x(_MARGIN + sum(_WIDTHS[:2]))
        pdf.set_font("main", style, 10.5)
        pdf.set_text_color(*_INK)
        pdf.cell(_WIDTHS[2], 6.5, label)
        pdf.cell(_WIDTHS[3], 6.5, value, align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)


def _usage(pdf: "FPDF", shown: InvoicePage) -> None:
    if not shown.usage:
        return
    _text(pdf, "What was used, by the ledger", style="B", size=11, height=7)
    pdf.set_x(_MARGIN)
    rows = [(f"{row.what}\n{row.period}", row.amount, row.entries) for row in shown.usage]
    _table(pdf, ("What", "Used", "Ledger entries"), rows, (92.0, 30.0, 48.0))
    pdf.ln(6)


def _note(pdf: "FPDF", shown: InvoicePage) -> None:
    note = shown.invoice.seller.get("note", "")
    if note:
        _text(pdf, note, ink=_QUIET)
