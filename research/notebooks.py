"""Notebooks as pages: reading .ipynb files, and rendering them without trusting them."""

import base64
import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import nh3
from django.core.exceptions import ValidationError
from django.core.files.base import File
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, TextLexer

MAX_BYTES = 8 * 1024 * 1024
_MAX_OUTPUT = 20_000
_PICTURES = ("image/png", "image/jpeg", "image/webp")
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_code = HtmlFormatter(nowrap=True, classprefix="hl-")


@dataclass(frozen=True, slots=True)
class Output:
    """What a cell printed or drew: a text, cleaned HTML, or a picture as a data URL."""

    text: str = ""
    html: str = ""
    picture: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, rendered."""

    kind: str
    html: str
    number: int | None = None
    outputs: list[Output] = field(default_factory=list)


def read_notebook(raw: bytes) -> dict[str, Any]:
    """The notebook in a file.

    Raises:
        ValueError: it is no notebook of nbformat 4, in words for the person who chose it.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"The notebook is larger than {MAX_BYTES // 2**20} MB; clear its outputs.")
    try:
        book = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("This is no notebook: the file is not JSON.") from None
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list) or book.get("nbformat") != 4:
        raise ValueError("This is no notebook of format 4; save it again with a current Jupyter.")
    if not all(isinstance(c, dict) and isinstance(c.get("cell_type"), str) for c in cells):
        raise ValueError("The notebook's cells are damaged.")
    return dict(book)


def check_notebook(file: File) -> None:
    """Field validator."""
    file.seek(0)
    try:
        read_notebook(file.read(MAX_BYTES + 1))
    except ValueError as error:
        raise ValidationError(str(error)) from error
    finally:
        file.seek(0)


def render_markdown(text: str) -> str:
    """CommonMark with tables; no HTML of the author's passes, and links are made safe."""
    return nh3.clean(_markdown.render(text), link_rel="noopener nofollow")


@functools.cache
def _lexer(language: str) -> Any:
    return PythonLexer() if language == "python" else TextLexer()


def highlighted(code: str, language: str = "python") -> str:
    """Code as spans with classes (no inline style: the page's policy forbids it)."""
    return str(highlight(code, _lexer(language.lower()), _code))


def _lowered(markdown: str) -> str:
    """Each heading one level down; inside fences a hash is no heading."""
    fenced = False
    lines = []
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        lines.append(f"#{line}" if not fenced and re.match(r"#{1,5} ", line) else line)
    return "\n".join(lines)


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _output(raw: dict[str, Any]) -> Output:
    kind = raw.get("output_type")
    if kind == "stream":
        return Output(text=_text(raw.get("text", ""))[:_MAX_OUTPUT])
    if kind == "error":
        return Output(text=f"{raw.get('ename')}: {raw.get('evalue')}"[:_MAX_OUTPUT], is_error=True)
    data = raw.get("data")
    data = data if isinstance(data, dict) else {}
    for mime in _PICTURES:
        if mime in data:
            packed = "".join(_text(data[mime]).split())
            try:
                base64.b64decode(packed, validate=True)
            except ValueError:
                continue
            return Output(picture=f"data:{mime};base64,{packed}")
    if "text/html" in data:
        return Output(html=nh3.clean(_text(data["text/html"])[:_MAX_OUTPUT], attributes={}))
    return Output(text=_text(data.get("text/plain", ""))[:_MAX_OUTPUT])


def rendered(book: dict[str, Any]) -> list[Cell]:
    """The cells of a notebook as safe HTML, under a page's own title: a title at the very top is
    left out, and if there are others of its level, all headings go one level down."""
    language = book.get("metadata", {}).get("language_info", {}).get("name", "python")
    texts = [_text(c.get("source", "")) for c in book["cells"] if c["cell_type"] == "markdown"]
    titles = sum(bool(re.match(r"# ", line)) for text in texts for line in text.splitlines())
    cells = []
    for number, raw in enumerate(book["cells"]):
        source = _text(raw.get("source", ""))
        if raw["cell_type"] == "markdown":
            if number == 0:
                source = re.sub(r"\A\s*# .*\n?", "", source)
            if source.strip():
                text = _lowered(source) if titles > 1 else source
                cells.append(Cell("markdown", render_markdown(text)))
        elif raw["cell_type"] == "code" and source.strip():
            outputs = [_output(o) for o in raw.get("outputs", []) if isinstance(o, dict)]
            count = raw.get("execution_count")
            cells.append(
                Cell("code", highlighted(source, str(language)),
                     count if isinstance(count, int) else None, outputs)
            )  # fmt: skip
    return cells


def colab_url(repository: str, ref: str, path: str) -> str:
    """Address that opens a notebook of a GitHub repository in Colab."""
    return f"https://colab.research.google.com/github/{repository}/blob/{quote(ref)}/{quote(path)}"


def binder_url(repository: str, ref: str, path: str) -> str:
    """Likewise in Binder."""
    return (
        f"https://mybinder.org/v2/gh/{repository}/{quote(ref, safe='')}"
        f"?labpath={quote(path, safe='')}"
    )
