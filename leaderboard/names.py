"""Names that people give to teams and models: without what cannot be seen, and told apart by their look.

Two names that look alike are one: the key of a name is its skeleton after UTS 39 (confusable characters
each replaced by one of their kind, from Unicode's data in `confusable_homoglyphs`), without case,
accents and anything but letters and digits.
"""

import functools
import re
import unicodedata

from confusable_homoglyphs import categories

_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
"""Controls, format characters (zero width, direction), unassigned and private ones, line breaks."""
_BLANK = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that are drawn as nothing."""
_TOGETHER = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"}, {"LATIN", "HAN", "HANGUL"}, {"LATIN", "HAN", "BOPOMOFO"},
)  # fmt: skip
"""Scripts that one word may mix (UTS 39, highly restrictive)."""
_RESERVED_ANYWHERE = ("moondream",)
_RESERVED_WORDS = (
    "admin", "administrator", "admins", "baseline", "baselines", "mod", "moderator", "moderators",
    "official", "officials", "organiser", "organisers", "organizer", "organizers", "staff", "sysadmin",
    "verified",
)  # fmt: skip
_RESERVED_NAMES = (
    "anonymous", "deleted", "everyone", "human", "human performance", "none", "null", "nobody",
    "random", "random guess", "reference", "root", "support", "system", "team", "undefined", "unknown",
)  # fmt: skip


def cleaned(name: str) -> str:
    """A name as it is kept: compatible forms made plain (NFKC), blanks made single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def problem_of(name: str) -> str:
    """What is wrong with a (cleaned) name that others read, in words for its giver; empty if nothing."""
    if has_unseen(name):
        return "The name has characters that cannot be seen."
    if _stacked(name):
        return "The name has too many marks on one letter."
    if not any(c.isalnum() for c in name):
        return "The name needs a letter or a digit."
    for word in re.findall(r"[^\W\d_]+", name):
        scripts = {categories.alias(c) for c in word} - {"COMMON", "INHERITED"}
        if len(scripts) > 1 and not any(scripts <= allowed for allowed in _TOGETHER):
            return f"“{word}” mixes letters of different scripts."
    return ""


def has_unseen(text: str, *, lines: bool = False) -> bool:
    """Whether a text has characters that nobody sees, or that turn its direction; `lines` allows breaks
    and tabs."""
    allowed = "\n\r\t" if lines else ""
    return any(
        (unicodedata.category(c) in _UNSEEN and c not in allowed) or c in _BLANK or _is_selector(c)
        for c in text
    )


def is_reserved(name: str) -> bool:
    """Whether a team of that name, or one that looks like it, would pass for the site or its staff."""
    key = look_of(name)
    words = {look_of(word) for word in re.split(r"[\W_]+", cleaned(name))}
    return (
        any(look_of(word) in key for word in _RESERVED_ANYWHERE)
        or any(look_of(word) in words or look_of(word) == key for word in _RESERVED_WORDS)
        or any(look_of(whole) == key for whole in _RESERVED_NAMES)
    )


@functools.lru_cache(maxsize=1024)
def look_of(name: str) -> str:
    """What names that look alike have in common; at most 200 characters, never empty for a name."""
    text = _replaced(
        unicodedata.normalize("NFKD", name)
    )  # capitals look alike otherwise than small letters
    text = _replaced(unicodedata.normalize("NFKD", text).casefold())
    text = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c for c in text if c.isalnum()).translate(_STROKES).replace("vv", "w")
    return (kept or text.strip() or "-")[:200]


def _replaced(text: str) -> str:
    return "".join(_one_of_its_kind().get(c, c) for c in text)


_STROKES = str.maketrans({"i": "l", "1": "l", "0": "o"})


@functools.cache
def _one_of_its_kind() -> dict[str, str]:
    """Each confusable character and what stands for its kind: Unicode's pairs, joined into classes."""
    # A megabyte of JSON, which only who names a team needs.
    from confusable_homoglyphs import confusables

    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while parent.setdefault(text, text) != text:
            parent[text] = text = parent[parent[text]]
        return text

    for left, others in confusables.confusables_data.items():
        for other in others:
            a, b = root(_plain(left)), root(_plain(other["c"]))
            # Several letters stand for the one they look like ("rn" for "m"); ASCII for others.
            first, second = sorted((a, b), key=lambda t: (not t.isascii(), -len(t), t))
            parent[second] = first
    return {text: root(text) for text in list(parent) if len(text) == 1 and root(text) != text}


def _plain(text: str) -> str:
    return text.replace("\u200e", "")


def _is_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0000" <= char <= "\U000e0fff"


def _stacked(name: str) -> bool:
    marks = 0
    for char in unicodedata.normalize("NFD", name):
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if marks > 3:
            return True
    return False
