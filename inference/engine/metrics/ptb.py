"""The tokenisation of the COCO caption metrics, without Java: "ptb-lite v2".

The reference pipes captions through Stanford's PTBTokenizer (CoreNLP 3.4.1, `-preserveLines
-lowerCase`) and drops a list of punctuation. This is that lexer's rules (`ptb_rules`) run by a lexer
of our own; `tests/leaderboard/ptb_golden.tsv` was made by running the original
(`tests/leaderboard/ptb_golden.py`), and agrees in full.

A caption stands for itself here. The original reads all of a run as one text, so that there what is
at a caption's end can depend on how the next one begins: a caption ends as if another line followed.
Its tokens may hold a no-break space, in a fraction such as "2 1/2"; the metrics split it there.
"""

import re
from functools import cache

from inference.engine.metrics.lexer import Lexer
from inference.engine.metrics.ptb_rules import AS_IS, DROP, NAMES, RULES

NAME = "ptb-lite v2"
DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--",
     "...", ";"]
)  # fmt: skip
"""Of pycocoevalcap. The brackets' names are in capitals and the tokens are not, so brackets stay."""

_BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
_PARENTHESES = str.maketrans({" ": "\xa0", "(": "-LRB-", ")": "-RRB-"})
_CURRENCY = str.maketrans(
    {"\xa2": "cents", "\xa3": "#", "\x80": "$", "\xa4": "$", "\u20a0": "$", "\u20ac": "$"}
)
_FRACTIONS = str.maketrans(
    {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
)
_QUOTES = str.maketrans({
    '"': "''", **dict.fromkeys("\x91\u2018\u201b\u2039", "`"), **dict.fromkeys("\x92\u2019\u203a", "'"),
    **dict.fromkeys("\x93\u201c\xab", "``"), **dict.fromkeys("\x94\u201d\xbb", "''"),
})  # fmt: skip
_ENTITY = re.compile("&(apos|quot);")
_AMP = re.compile("&amp;", re.IGNORECASE)
_PLAIN = re.compile("[A-Za-z]+(?= )")
"""A word that no rule sees anything else in, but for those that are two."""
_TWO = frozenset(("cannot", "gonna", "gotta", "lemme", "gimme", "wanna"))


@cache
def _lexer() -> Lexer:
    return Lexer(RULES, NAMES)


def tokenise(caption: str) -> list[str]:
    """A caption's tokens, lower-cased, without the dropped punctuation."""
    lexer = _lexer()
    text = caption.replace("\n", " ") + "\n"
    kinds = lexer.kinds(text)
    tokens = []
    at, end = 0, len(text)
    while at < end:
        plain = _PLAIN.match(text, at)
        if plain and (word := plain[0].lower()) not in _TWO:
            tokens.append(word)
            at = plain.end() + 1
            continue
        rule, after = lexer.match(text, kinds, at)
        token, back = _token(rule.name, text[at:after])
        at = after - back
        if token:
            tokens.append(token.lower())
    if tokens:  # a line's end is stripped when it is read
        tokens[-1] = tokens[-1].rstrip()
    return [token for token in tokens if token and token not in DROPPED]


def _token(kind: str, text: str) -> tuple[str, int]:
    """What becomes of a rule's text, and how many characters of it are read again."""
    if kind in (AS_IS, DROP):
        return (text if kind == AS_IS else ""), 0
    if kind == "soft":  # hyphens where a line may break
        return text.replace("\xad", "") or "-", 0
    if kind in ("quotes", "open quote"):
        return ("`" if kind == "open quote" else _quotes(text)), 0
    if kind.startswith("but"):  # the last two or three are another token
        back = int(kind[-1])
        return text[:-back], back
    if kind == "initial":  # a letter and a full stop before a sentence: the letter
        return (text, 0) if len(text) > 2 else (text[0], 1)
    if kind == "hyphens":
        return ("--" if 3 <= len(text) <= 4 else text), 0
    return _REPLACED[kind](text), 0


def _quotes(text: str) -> str:
    return _ENTITY.sub(lambda m: "'" if m[1] == "apos" else "''", text).translate(_QUOTES)


_REPLACED = {
    "spaces": lambda text: text.replace(" ", "\xa0"),
    "dash": lambda _text: "--",
    "dots": lambda _text: "...",
    "amp": lambda text: _AMP.sub("&", text),
    "fraction": lambda text: text.translate(_FRACTIONS),
    "currency": lambda text: text.translate(_CURRENCY),
    "parentheses": lambda text: text.translate(_PARENTHESES),
    "bracket": _BRACKETS.__getitem__,
    "less": lambda _text: "<",
    "more": lambda _text: ">",
}
