r"""Formulas in a line of rich text, written as `\(E = mc^2\)`: drawn as MathML, and told in TeX where
there is only text."""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from wagtail.blocks import StreamValue
from wagtail.blocks.list_block import ListValue
from wagtail.rich_text import RichText

from research.maths import NotMaths, mathml

LONGEST = 300
"""Characters of one in a line: a longer one is a block of its own."""
WIDE = 20
"""Signs, each as wide as a line's height."""
_COMMAND = re.compile(r"\\(?:[a-zA-Z]+|.)", re.DOTALL)
_UNSEEN = re.compile(r"[{}^_&\s]")
_INLINE = re.compile(r"\\\(((?:(?!\\[()]).)+)\\\)", re.DOTALL)
_PARTS = re.compile(r"(<[^<>]*>)")
_VERBATIM = re.compile(r"<(/?)(?:code|pre|script|style|math|textarea)\b", re.IGNORECASE)
"""Elements in which nothing is a formula."""


def drawn(html: str) -> str:
    """Rich text with its formulas as MathML. What cannot be drawn stays as it is written."""
    if "\\(" not in html:
        return html
    return "".join(_INLINE.sub(_one, part) if is_text else part for part, is_text in _texts(html))


def as_text(text: str) -> str:
    """Plain text, or rich text that becomes it, with formulas in TeX without their brackets."""
    return _INLINE.sub(lambda found: found[1].strip(), text)


def problems(value: Any) -> list[str]:
    """What is wrong with the formulas in rich text, or in any of a stream's blocks, each told once."""
    found = []
    for html in _sources(value):
        for part, is_text in _texts(html):
            for formula in _INLINE.findall(part) if is_text else ():
                try:
                    _mathml(formula)
                except NotMaths as error:
                    found.append(f"\\({unescape(formula)[:60]}\\): {error}")
    return list(dict.fromkeys(found))


def _mathml(formula: str) -> str:
    """
    Raises:
        NotMaths: it cannot be drawn in a line.
    """
    tex = unescape(formula)
    if len(tex) > LONGEST:
        raise NotMaths(f"In a line a formula has at most {LONGEST} characters: make it a block.")
    return mathml(tex, "inline")


def _one(found: re.Match[str]) -> str:
    try:
        made = _mathml(found[1])
    except NotMaths:
        return found[0]
    if _is_wide(unescape(found[1])):
        return f'<span class="formula" tabindex="0" role="group" aria-label="Formula">{made}</span>'
    return made


def _is_wide(tex: str) -> bool:
    """Whether it may be wider than a phone, where it then scrolls by itself: by its signs, of which a
    command is one or a wide space."""
    return len(_UNSEEN.sub("", _COMMAND.sub("x", tex.replace("quad", "quad xx")))) > WIDE


def _texts(html: str) -> Iterator[tuple[str, bool]]:
    """Tags and the texts between them, and whether a text may hold a formula."""
    verbatim = 0
    for part in _PARTS.split(html):
        is_tag = part.startswith("<") and part.endswith(">")
        if is_tag and (mark := _VERBATIM.match(part)):
            verbatim = max(0, verbatim + (-1 if mark[1] else 1))
        yield part, not is_tag and not verbatim


def _sources(value: Any) -> Iterator[str]:
    """The rich texts in a value of a field or block."""
    if isinstance(value, RichText):
        yield str(value.source)
    elif isinstance(value, StreamValue):
        for child in value:
            yield from _sources(child.value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _sources(inner)
    elif isinstance(value, ListValue):
        for inner in value:
            yield from _sources(inner)
