"""Regular expressions that strangers write: bounded in length, in repetition and in time."""

import re as _re
from functools import lru_cache

import regex

MAX_PATTERN = 200
TIME_S = 0.05
"""For one text."""
_PROBE_S = 0.02
_MOST_REPEATS = 10_000
_BRACES = _re.compile(r"(?<!\\)\{([^{}]*)\}")
_COUNTED = _re.compile(r"(\d*)(?:,(\d*))?")
_PROBES = ("a" * 2000 + "!", "0" * 2000 + "!", "ab " * 700 + "!", " " * 2000 + "!", "{" * 500 + "x")


class BadPattern(ValueError):
    """A pattern that is not taken."""


class TooSlow(Exception):
    """A pattern was still searching when its time was up."""


@lru_cache(maxsize=256)
def pattern(text: str, *, ignore_case: bool = False) -> "regex.Pattern[str]":
    """A pattern, compiled.

    Raises:
        BadPattern: it is none, is too long, repeats too much, or searches for ever.
    """
    if len(text) > MAX_PATTERN:
        raise BadPattern(f"has {len(text)} characters; at most {MAX_PATTERN} are taken")
    repeats = 1
    for braces in _BRACES.findall(text):
        counted = _COUNTED.fullmatch(braces)
        if counted:  # else it is text, or a name
            repeats *= max(1, *(int(n or 0) if len(n or "") < 7 else _MOST_REPEATS + 1 for n in counted.groups()))  # fmt: skip
    if repeats > _MOST_REPEATS:
        raise BadPattern(f"repeats more than {_MOST_REPEATS} times")
    try:
        made = regex.compile(text, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise BadPattern(f"is no regular expression: {error}") from error
    for probe in _PROBES:
        try:
            found(made, probe, time_s=_PROBE_S)
        except TooSlow:
            raise BadPattern(
                "takes too long on some texts: avoid a repetition inside a repetition"
            ) from None
    return made


def found(
    made: "regex.Pattern[str]", text: str, *, whole: bool = False, time_s: float = TIME_S
) -> bool:
    """Whether the pattern occurs in the text, or is all of it.

    Raises:
        TooSlow: it was still searching when its time was up.
    """
    try:
        seek = made.fullmatch if whole else made.search
        return seek(text, timeout=time_s) is not None
    except TimeoutError as error:
        raise TooSlow(f"no answer within {time_s * 1e3:.0f} ms") from error
