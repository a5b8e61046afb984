"""Formulas in TeX as MathML, which browsers draw and screen readers read; nothing is loaded for it."""

import re
from functools import lru_cache
from html import unescape
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

MOST = 2000
"""Characters of one formula."""
DEEPEST = 30
"""Braces within braces."""
_FUNCTIONS = {"arg", "deg", "dim", "hom", "ker", "lg", "Pr", "argmax", "argmin", "liminf", "limsup"}
"""Names that TeX writes upright; the library knows the others."""
_TAGS = {
    "math", "menclose", "mfenced", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded",
    "mphantom", "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub", "msubsup",
    "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover", "none",
}  # fmt: skip
_ATTRIBUTES = {
    "accent", "accentunder", "align", "close", "columnalign", "columnlines", "columnspacing", "depth",
    "display", "displaystyle", "fence", "form", "height", "largeop", "linethickness", "lspace",
    "mathsize", "mathvariant", "maxsize", "minsize", "movablelimits", "notation", "open", "rowlines",
    "rowspacing", "rspace", "scriptlevel", "separator", "separators", "stretchy", "symmetric", "voffset",
    "width",
}  # fmt: skip
"""Neither addresses nor styles nor scripts."""

_DEFINES = re.compile(
    r"\\(?:[gex]?def|let|(?:re)?newcommand|providecommand|newenvironment|DeclareMathOperator|require)\b"
)
"""What makes other TeX of a formula: a few lines could become any number of them."""
_BRACES = re.compile(r"\\.|([{}])", re.DOTALL)


class NotMaths(ValueError):
    """TeX that cannot be drawn, with what is wrong with it."""


@lru_cache(maxsize=512)
def mathml(tex: str, display: Literal["block", "inline"] = "block") -> str:
    """A formula by itself or in a line, with its TeX as an annotation.

    Raises:
        NotMaths: it is too long, or no formula.
    """
    from latex2mathml.converter import convert_to_element  # no web process needs it to start

    tex = tex.strip()
    if not tex or len(tex) > MOST:
        raise NotMaths(f"A formula has 1 to {MOST} characters; this has {len(tex)}.")
    found = _DEFINES.search(tex)
    if found:
        raise NotMaths(f"{found[0]} is not for a formula here: write out what it stands for.")
    _check_braces(tex)
    try:
        made = convert_to_element(tex, display=display)
    except RecursionError:
        raise NotMaths("It is nested too deep.") from None
    except Exception as error:  # the library has an error for each mistake, and others
        what = str(error) or type(error).__name__
        raise NotMaths(f"This is not read as TeX: {what[:100]}.") from error
    _clean(made)
    _annotate(made, tex)
    return tostring(made, encoding="unicode")


def _check_braces(tex: str) -> None:
    depth = 0
    for match in _BRACES.finditer(tex):
        depth += {"{": 1, "}": -1}.get(match[1] or "", 0)
        if depth < 0:
            break
        if depth > DEEPEST:
            raise NotMaths("It is nested too deep.")
    if depth:
        raise NotMaths("Its braces do not match.")


def _clean(element: Element) -> None:
    """Only what MathML is made of, its texts as texts: the library leaves what is written in `\\text`
    for HTML."""
    for one in element.iter():
        if one.tag not in _TAGS:
            raise NotMaths(f"It makes {one.tag}, which is not shown here.")
        one.attrib = {
            k: unescape(v) for k, v in one.attrib.items() if k in _ATTRIBUTES or k == "xmlns"
        }
        one.text = unescape(one.text) if one.text else one.text
        if one.tag != "mtext" and one.text and one.text.startswith("\\") and one.text != "\\":
            if one.text[1:] not in _FUNCTIONS:
                raise NotMaths(f"{one.text} is not known here.")
            one.text = one.text[1:]
        one.tail = unescape(one.tail) if one.tail else one.tail


def _annotate(math: Element, tex: str) -> None:
    inner = list(math)
    for child in inner:
        math.remove(child)
    semantics = SubElement(math, "semantics")
    row = SubElement(semantics, "mrow")
    row.extend(inner)
    annotation = SubElement(semantics, "annotation", encoding="application/x-tex")
    annotation.text = tex
