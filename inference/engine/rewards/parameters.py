"""Parameters of a term: what each takes, and what is wrong with what it was given."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["integer", "number", "text", "choice", "flag"]
Problem = tuple[str, str]
"""Where ("terms[1].parameters.most") and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a term, with its bounds."""

    name: str
    label: str
    kind: Kind
    default: Any
    help: str = ""
    low: float = 0
    high: float = 0
    """Of a number its largest value; of a text its longest length."""
    choices: tuple[str, ...] = ()
    lines: int = 1
    """How tall a text's field is."""

    @property
    def step(self) -> str:
        """For a field of a form."""
        return "1" if self.kind == "integer" else "0.05"

    def problem(self, value: Any) -> str:
        """What is wrong with a value; empty if nothing is."""
        if self.kind in ("integer", "number"):
            return number_problem(value, self.low, self.high, whole=self.kind == "integer")
        if self.kind == "flag":
            return "" if isinstance(value, bool) else f"must be true or false, not {kind_of(value)}"
        if not isinstance(value, str):
            return f"must be a string, not {kind_of(value)}"
        if self.kind == "choice":
            return "" if value in self.choices else f"must be one of {', '.join(self.choices)}"
        if len(value) > self.high:
            return f"has {len(value)} characters; at most {self.high:.0f} are taken"
        if "\x00" in value:
            return "holds a NUL character"
        return ""


def number_problem(value: Any, low: float, high: float, *, whole: bool = False) -> str:
    """What is wrong with a number; empty if nothing is."""
    wanted = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be {wanted}, not {kind_of(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    if whole and value != int(value):
        return f"must be {wanted}"
    if not low <= value <= high:
        return f"must lie between {low:g} and {high:g}"
    return ""


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {"NoneType": "null", "dict": "an object", "list": "an array", "bool": "a boolean",
             "float": "a number", "int": "a number", "str": "a string"}  # fmt: skip
    return names.get(type(value).__name__, f"a {type(value).__name__}")


def read_parameters(
    parameters: tuple[Parameter, ...], given: Any, path: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Values of all parameters, defaults where none is given, and what is wrong."""
    if not isinstance(given, dict):
        return {}, [(path, f"must be an object, not {kind_of(given)}")]
    known = {p.name for p in parameters}
    problems = [
        (f"{path}.{name}", "is no parameter of this term") for name in given if name not in known
    ]
    values = {}
    for parameter in parameters:
        value = given.get(parameter.name, parameter.default)
        problem = parameter.problem(value)
        if problem:
            problems.append((f"{path}.{parameter.name}", problem))
        elif parameter.kind == "integer":
            value = int(value)
        values[parameter.name] = value
    return values, problems


def words_of(text: str) -> list[str]:
    """What a list in a text field holds: parts between commas or line ends."""
    return [part for part in (p.strip() for p in text.replace("\n", ",").split(",")) if part]


def ordered(values: dict[str, Any], low: str, high: str) -> Iterator[Problem]:
    """The problem of a range that ends before it begins."""
    if values[low] > values[high]:
        yield high, f"must not be below {low}"
