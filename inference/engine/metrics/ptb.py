"""The tokenisation of the COCO caption metrics, without Java: "ptb-lite v1".

The reference pipes captions through Stanford's PTBTokenizer (CoreNLP 3.4.1, `-preserveLines
-lowerCase`) and drops a list of punctuation. This follows its rules where captions meet them;
`tests/leaderboard/ptb_golden.tsv` was made by running the original, and must agree in full.
"""

import re
from collections.abc import Iterator

NAME = "ptb-lite v1"
DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--",
     "...", ";"]
)  # fmt: skip
"""Of pycocoevalcap. The brackets' names are in capitals and the tokens are not, so brackets stay."""

_ABBREVIATIONS = [
    "mr",
    "mrs",
    "ms",
    "messrs",
    "dr",
    "drs",
    "prof",
    "profs",
    "sen",
    "rep",
    "gov",
    "gen",
    "lt",
    "col",
    "maj",
    "sgt",
    "capt",
    "adm",
    "rev",
    "hon",
    "pres",
    "st",
    "ste",
    "ave",
    "blvd",
    "rd",
    "mt",
    "ft",
    "sr",
    "jr",
    "inc",
    "co",
    "cos",
    "corp",
    "ltd",
    "plc",
    "dept",
    "univ",
    "assn",
    "bros",
    "vs",
    "etc",
    "al",
    "jan",
    "feb",
    "mar",
    "apr",
    "jun",
    "jul",
    "aug",
    "sep",
    "sept",
    "oct",
    "nov",
    "dec",
    "mon",
    "tue",
    "tues",
    "wed",
    "thu",
    "thurs",
    "fri",
]
_WORD = r"[^\W_](?:[\w]|[-'’&/](?=\w))*"
_SCANNER = re.compile(
    "|".join(
        (
            r"(?P<space>\s+)",
            r"(?P<dots>\.{3,}|…|\.(?: \.){2,})",
            r"(?P<address>https?://\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)",
            r"(?P<dash>--+|[–—])",
            r"(?P<smiley>[:;]-?[()])",
            r"(?P<phone>\(\d{3}\) ?\d{3}-\d{4})",
            r"(?P<tag></?[A-Za-z][^<>\s]*>)",
            r"(?P<fraction>[½¼¾])",
            r"(?P<elided>['’](?:em|tis|twas|n['’]?|\d0s)(?!\w))",
            r"(?P<acronym>(?:[^\W\d_]\.){2,}(?!\w)|[^\W\d_]\.(?![\w'’]))",
            rf"(?P<abbreviation>(?:{'|'.join(_ABBREVIATIONS)})\.(?!\w)|nos?\.(?= ?\d))",
            r"(?P<number>(?<![\w.])[-+]?(?:\.\d+|\d+(?:[.,:/]\d+)*)(?:[\w]|[-'’/](?=\w))*)",
            rf"(?P<word>{_WORD}(?:\.{_WORD})*)",
            r"(?P<mention>[#@](?=[^\W\d])\w+)",
            r"(?P<marks>[!?]{2,})",
            r"(?P<ticks>``|''|\"|[“”‘’`'])",
            r"(?P<other>.)",
        )
    ),
    re.IGNORECASE,
)
_NAMES = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "£": "#", "€": "$", "¢": "cents", "½": "1/2", "¼": "1/4", "¾": "3/4",
}  # fmt: skip
_PAIRS = {
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"),
    "wanna": ("wan", "na"), "gimme": ("gim", "me"), "lemme": ("lem", "me"),
    "'tis": ("'t", "is"), "'twas": ("'t", "was"), "y'all": ("y'", "all"),
}  # fmt: skip
_CLITIC = re.compile(r"(.+?)('s|'m|'d|'ll|'re|'ve)$")


def tokenise(caption: str) -> list[str]:
    """A caption's tokens, lower-cased, without the dropped punctuation."""
    return [token for token in _tokens(caption.replace("\n", " ")) if token not in DROPPED]


def _tokens(text: str) -> Iterator[str]:
    for match in _SCANNER.finditer(text):
        kind, token = match.lastgroup, match.group().lower().replace("’", "'")
        if kind == "space":
            continue
        if kind == "dots":
            yield "..."
        elif kind == "dash":
            yield "--"
        elif kind in ("word", "number", "elided"):
            yield from _split(token)
        elif kind in ("smiley", "phone"):  # one token; the original joins a number's parts
            yield "".join(_NAMES.get(c, c) for c in token.replace(" ", "\u00a0"))
        elif kind == "ticks":
            yield "''" if token in ('"', "“", "”") else token.replace("‘", "`")
        else:
            yield _NAMES.get(token, token)


def _split(word: str) -> Iterator[str]:
    """Contractions in their parts: "they'll've" → they, 'll, 've."""
    if word in _PAIRS:
        yield from _PAIRS[word]
        return
    if "'n'" in word and word != "'n'":
        before, after = word.split("'n'", 1)
        yield from (before, "'n'", after)
        return
    if "'s-" in word:  # "cat's-eye": the hyphen goes
        before, after = word.split("'s-", 1)
        yield from (before, "'s")
        yield from _split(after)
        return
    if word.endswith("n't") and len(word) > 3:
        yield from (word[:-3], "n't")
        return
    clitic = _CLITIC.match(word)
    if clitic:
        yield from _split(clitic[1])
        yield clitic[2]
        return
    yield word
