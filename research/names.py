"""A person's name in the parts that citations sort and print by, as BibTeX reads names.

Typed given name first, or as "Family, Given" or "Family, Jr., Given" where the first form would be
read wrongly. BibTeX's rule finds the particle: words in small letters before the family name; the
usual particles with a capital belong to the family name ("Luc Van Gool").
"""

import re
from dataclasses import dataclass

_SUFFIX = re.compile(
    r"(?:[Jj]n?r|[Ss]n?r|Esq)\.?|III?|IV|VI{1,3}|Ph\.? ?D\.?|M\.?D\.?|D\.?Sc\.?|M\.?Sc\.?"
)
_JOINING = {"e", "i", "y"}
"""What joins the two halves of a family name: "José Ortega y Gasset"."""
_CAPITAL = {"da", "de", "del", "della", "den", "der", "di", "dos", "du", "la", "le", "van", "von"}
"""Particles that begin a family name also with a capital."""


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name; `family` alone is never empty."""

    family: str
    given: str = ""
    particle: str = ""
    suffix: str = ""

    @property
    def sorted_by(self) -> str:
        """Particle and family name: "van der Maaten"."""
        return " ".join(filter(None, (self.particle, self.family)))

    @property
    def text(self) -> str:
        """As it is read: "Martin Luther King Jr."."""
        return " ".join(filter(None, (self.given, self.sorted_by, self.suffix)))


def read_name(text: str) -> Name:
    """The parts of a name that is no group's."""
    parts = [" ".join(part.split()) for part in text.split(",")]
    parts = [part for part in parts if part]
    suffixes = [part for part in parts[1:] if _SUFFIX.fullmatch(part)]
    rest = [part for part in parts if part not in suffixes]
    if len(rest) < 2:
        return _given_first("".join(rest) or " ".join(parts), suffixes)
    given = " ".join(rest[1:]).split()
    suffixes += _cut_suffix(given)
    family = rest[0].split()
    suffixes += _cut_suffix(family)
    particle = _cut_particle(family)
    trailing = next((i for i, word in enumerate(given) if i and _is_small(word)), len(given))
    if not particle and all(map(_is_small, given[trailing:])):  # "Maaten, Laurens van der"
        given, particle = given[:trailing], given[trailing:]
    return Name(" ".join(family), " ".join(given), " ".join(particle), " ".join(suffixes))


def _given_first(text: str, suffixes: list[str]) -> Name:
    words = text.split()
    suffixes = suffixes or _cut_suffix(words)
    joined = next((i - 1 for i, word in enumerate(words[:-1]) if i > 1 and word in _JOINING), 0)
    if joined:
        return Name(" ".join(words[joined:]), " ".join(words[:joined]), "", " ".join(suffixes))
    # The last word is always the family's; the first is a particle only where it is known as one.
    known = bool(words) and words[0] in _CAPITAL
    begins = (
        i
        for i, word in enumerate(words[:-1])
        if (i or known) and (_is_small(word) or (i and word.lower() in _CAPITAL))
    )
    at = next(begins, len(words) - 1)
    family = words[at:]
    particle = _cut_particle(family)
    given = words[:at]
    return Name(" ".join(family), " ".join(given), " ".join(particle), " ".join(suffixes))


def _cut_suffix(words: list[str]) -> list[str]:
    """Take "Jr." and the like off the end of a name of several words."""
    return [words.pop()] if len(words) > 1 and _SUFFIX.fullmatch(words[-1]) else []


def _cut_particle(words: list[str]) -> list[str]:
    """Take the words in small letters off the beginning; the last word stays."""
    count = 0
    while count < len(words) - 1 and _is_small(words[count]):
        count += 1
    cut = words[:count]
    del words[:count]
    return cut


def _is_small(word: str) -> bool:
    return word[:1].islower()
