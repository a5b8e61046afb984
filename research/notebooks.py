"""Notebooks as pages: reading .ipynb files, and rendering them without trusting them."""

import base64
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
MAX_CELLS = 1000
_MAX_SOURCE = 50_000
_MAX_SOURCES = 300_000
"""Of all cells: a page is made in seconds, whatever is in the file."""
_MAX_OUTPUT = 20_000
_MAX_OUTPUTS = 50
_MAX_PICTURE = 3_000_000
"""Of a picture's base64."""
_PICTURES = ("image/png", "image/jpeg", "image/webp")
_READ = (*_PICTURES, "text/html", "text/plain")
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
    """The notebook in a file, with all that is read of it in the types of nbformat 4.

    Raises:
        ValueError: it is no such notebook, in words for the person who chose it.
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
    if not isinstance(book.get("metadata", {}), dict):
        raise ValueError("The notebook's metadata are damaged.")
    if len(cells) > MAX_CELLS:
        raise ValueError(f"The notebook has more than {MAX_CELLS} cells.")
    for number, cell in enumerate(cells, 1):
        if not _is_cell(cell):
            raise ValueError(f"The notebook's cells are damaged: cell {number}.")
    return dict(book)


def _is_cell(cell: Any) -> bool:
    return (
        isinstance(cell, dict)
        and isinstance(cell.get("cell_type"), str)
        and _is_text(cell.get("source", ""))
        and isinstance(cell.get("outputs", []), list)
        and all(map(_is_output, cell.get("outputs", [])))
    )


def _is_output(output: Any) -> bool:
    if not isinstance(output, dict) or not isinstance(output.get("output_type"), str):
        return False
    data = output.get("data", {})
    texts = [output[name] for name in ("text", "ename", "evalue") if name in output]
    texts += [data[mime] for mime in _READ if mime in data] if isinstance(data, dict) else [None]
    return all(map(_is_text, texts))


def _is_text(value: Any) -> bool:
    """nbformat's multiline string: a text, or a list of its lines."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(line, str) for line in value)
    )


def check_notebook(file: File) -> None:
    """Field validator."""
    file.seek(0)
    try:
        rendered(read_notebook(file.read(MAX_BYTES + 1)))
    except ValueError as error:
        raise ValidationError(str(error)) from error
    except Exception as error:  # whatever else a renderer stumbles over
        raise ValidationError("The notebook cannot be shown: its cells are damaged.") from error
    finally:
        file.seek(0)


def render_markdown(text: str) -> str:
    """CommonMark with tables; no HTML of the author's passes, and links are made safe."""
    return nh3.clean(_markdown.render(text), link_rel="noopener nofollow")


_PYTHON, _OTHER = PythonLexer(), TextLexer()


def highlighted(code: str, language: str = "python") -> str:
    """Code as spans with classes (no inline style: the page's policy forbids it)."""
    return str(highlight(code, _PYTHON if language.lower() == "python" else _OTHER, _code))


def _lowered(markdown: str) -> str:
    """Each heading one level down; inside fences a hash is no heading."""
    fenced = False
    lines = []
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        lines.append(f"#{line}" if not fenced and re.match(r"#{1,5} ", line) else line)
    return "\n".join(lines)


def _text(value: Any) -> str:
    """A text as a page can hold it: no NUL, no half of a surrogate pair."""
    joined = "".join(value) if isinstance(value, list) else value
    return joined.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _output(raw: dict[str, Any]) -> Output:
    kind = raw.get("output_type")
    if kind == "stream":
        return Output(text=_text(raw.get("text", ""))[:_MAX_OUTPUT])
    if kind == "error":
        said = ": ".join(_text(raw.get(name, "")) for name in ("ename", "evalue"))
        return Output(text=said[:_MAX_OUTPUT], is_error=True)
    data = raw.get("data")
    data = data if isinstance(data, dict) else {}
    for mime in _PICTURES:
        if mime in data:
            packed = "".join(_text(data[mime]).split())
            if len(packed) > _MAX_PICTURE:
                return Output(text="The picture is too large to be shown here.")
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
    language = _language(book)
    texts = [_source(c) for c in book["cells"] if c["cell_type"] == "markdown"]
    titles = sum(bool(re.match(r"# ", line)) for text in texts for line in text.splitlines())
    cells = []
    left = _MAX_SOURCES
    for number, raw in enumerate(book["cells"]):
        source = _source(raw)
        left -= len(source)
        if left < 0:
            cells.append(Cell("markdown", render_markdown("*The rest is in the file.*")))
            break
        if raw["cell_type"] == "markdown":
            if number == 0:
                source = re.sub(r"\A\s*# .*\n?", "", source)
            if source.strip():
                text = _lowered(source) if titles > 1 else source
                cells.append(Cell("markdown", render_markdown(text)))
        elif raw["cell_type"] == "code" and source.strip():
            every = raw.get("outputs", [])
            outputs = [_output(o) for o in every[:_MAX_OUTPUTS]]
            if len(every) > _MAX_OUTPUTS:
                outputs.append(Output(text=f"{len(every) - _MAX_OUTPUTS} more are in the file."))
            count = raw.get("execution_count")
            cells.append(
                Cell("code", highlighted(source, language),
                     count if isinstance(count, int) else None, outputs)
            )  # fmt: skip
    return cells


def _source(cell: dict[str, Any]) -> str:
    text = _text(cell.get("source", ""))
    return text if len(text) <= _MAX_SOURCE else f"{text[:_MAX_SOURCE]}\n…"


def _language(book: dict[str, Any]) -> str:
    about = book.get("metadata", {}).get("language_info")
    name = about.get("name") if isinstance(about, dict) else None
    return name if isinstance(name, str) else "python"


def colab_url(repository: str, ref: str, path: str) -> str:
    """Address that opens a notebook of a GitHub repository in Colab."""
    return f"https://colab.research.google.com/github/{repository}/blob/{quote(ref)}/{quote(path)}"


def binder_url(repository: str, ref: str, path: str) -> str:
    """Likewise in Binder."""
    return (
        f"https://mybinder.org/v2/gh/{repository}/{quote(ref, safe='')}"
        f"?labpath={quote(path, safe='')}"
    )
