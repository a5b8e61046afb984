"""What a file that can be read will score badly for: told before it costs a submission.

Each task's `Preflight` sees the predictions one by one, keeps counts alone, and says at the end what
would make the file score nothing. None of it looks at a reference but for the names of the classes.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from leaderboard.metrics.vqa import pope_parse, read_count

_SHOWN = 60
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Warned:
    """One thing to look at before submitting."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a split without its references."""

    metric: str = ""
    """The slug of the metric that ranks; empty where none does."""
    labels: Collection[str] | None = None
    """The names of its classes; empty where its boxes have none, None where it is not known."""


class Preflight(Protocol):
    """Counts over the predictions of a file."""

    def add(self, prediction: Any) -> None:
        """One line's prediction, as `Task.read` gives it."""

    def warnings(self, context: Context) -> list[Warned]:
        """What to look at; empty when nothing is odd."""


def _quoted(text: str) -> str:
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"“{''.join(c if c.isprintable() else ' ' for c in shown)}”"


def _some(texts: Collection[str]) -> str:
    return ", ".join(map(_quoted, texts))


class Texts:
    """Captions and answers: all empty, or all the same."""

    noun = "answer"

    def __init__(self) -> None:
        self.count = 0
        self.empty = 0
        self.first = ""
        self.differ = False

    def add(self, prediction: str) -> None:
        if not self.count:
            self.first = prediction
        self.differ = self.differ or prediction.strip() != self.first.strip()
        self.count += 1
        self.empty += not any(map(str.isalnum, prediction))

    def warnings(self, context: Context) -> list[Warned]:
        if self.count and self.empty == self.count:
            return [Warned("all_empty", f"Every {self.noun} is empty: the file will score 0.")]
        found = []
        if self.count > 1 and not self.differ:
            found.append(
                Warned("all_same", f"Every {self.noun} is the same: {_quoted(self.first)}.")
            )
        if self.empty:
            found.append(
                Warned("some_empty", f"{self.empty} of {self.count} {self.noun}s are empty.")
            )
        return found


class Captions(Texts):
    noun = "caption"


class Counts(Texts):
    """Answers that must be numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = 0
        self.examples: list[str] = []

    def add(self, prediction: str) -> None:
        super().add(prediction)
        if read_count(prediction) is None:
            self.unread += 1
            if len(self.examples) < _EXAMPLES and prediction.strip():
                self.examples.append(prediction)

    def warnings(self, context: Context) -> list[Warned]:
        found = super().warnings(context)
        if self.unread:
            all_of = self.unread == self.count
            text = "No answer is" if all_of else f"{self.unread} of {self.count} answers are not"
            such = f", such as {_some(self.examples)}" if self.examples else ""
            end = ": the file will score 0" if all_of else ": each counts as wrong"
            found.append(Warned(
                "unreadable_counts",
                f"{text} a number{such}{end}. Write a numeral or a word to twenty, and nothing else.",
            ))  # fmt: skip
        return found


class YesNo(Texts):
    """Answers that are read as POPE reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.yes = 0
        self.odd = 0
        self.examples: list[str] = []

    def add(self, prediction: str) -> None:
        super().add(prediction)
        says_yes = pope_parse(prediction)
        self.yes += says_yes
        words = prediction.lower().replace(",", " ").replace(".", " ").split()
        if says_yes and "yes" not in words:
            self.odd += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(prediction)

    def warnings(self, context: Context) -> list[Warned]:
        found = super().warnings(context)
        if self.count > 1 and self.yes in (0, self.count):
            found.append(Warned(
                "one_value", f"Every answer is read as {'yes' if self.yes else 'no'}.",
            ))  # fmt: skip
        if self.odd:
            found.append(Warned(
                "read_as_yes",
                f"{self.odd} of {self.count} answers do not say yes and are read as yes, such as "
                f"{_some(self.examples)}. POPE reads “No”, “no” and “not” before the first full stop as no, and all else as yes.",
            ))  # fmt: skip
        return found


class Points:
    """Points: none at all."""

    def __init__(self) -> None:
        self.count = 0
        self.places = 0

    def add(self, prediction: list[Any]) -> None:
        self.count += 1
        self.places += len(prediction)

    def warnings(self, context: Context) -> list[Warned]:
        if self.count and not self.places:
            return [Warned("no_points", "No line has a point: the file will find nothing.")]
        return []


class Boxes:
    """Boxes: none, without area, without scores, of classes that the split does not know."""

    def __init__(self) -> None:
        self.count = 0
        self.boxes = 0
        self.flat = 0
        self.unscored = 0
        self.labels: dict[str, int] = {}
        self.unlabelled = 0

    def add(self, prediction: list[dict[str, Any]]) -> None:
        self.count += 1
        self.boxes += len(prediction)
        for one in prediction:
            x0, y0, x1, y1 = one["box"]
            self.flat += x1 <= x0 or y1 <= y0
            self.unscored += "score" not in one
            label = one.get("label")
            if label is None:
                self.unlabelled += 1
                continue
            label = label[:_LONGEST_LABEL]
            if label in self.labels or len(self.labels) < _MOST_LABELS:
                self.labels[label] = self.labels.get(label, 0) + 1

    def warnings(self, context: Context) -> list[Warned]:
        if not self.count:
            return []
        if not self.boxes:
            return [Warned("no_boxes", "No line has a box: the file will score 0.")]
        found = []
        if self.flat:
            text = (
                "Every box has"
                if self.flat == self.boxes
                else f"{self.flat} of {self.boxes} boxes have"
            )
            end = ": the file will score 0." if self.flat == self.boxes else ": they find nothing."
            found.append(Warned("no_area", f"{text} no width or no height{end}"))  # fmt: skip
        if self.unscored:
            text = (
                "No box has"
                if self.unscored == self.boxes
                else f"{self.unscored} of {self.boxes} boxes have no"
            )
            a = " a" if self.unscored == self.boxes else ""
            ranks = context.metric in ("map", "ap50", "ap75")
            end = ", and it ranks here: the entry will have no rank." if ranks else "."
            found.append(Warned(
                "no_scores", f"{text}{a} `score` (or `confidence`). Average precision needs one for every box{end}",
            ))  # fmt: skip
        return found + self._labels(context.labels)

    def _labels(self, known: Collection[str] | None) -> list[Warned]:
        if not known:
            return []
        if self.unlabelled == self.boxes:
            return [Warned("no_labels", "No box has a `label`, and the items here have classes: the file will score 0.")]  # fmt: skip
        found = []
        if self.unlabelled:
            found.append(Warned("no_labels", f"{self.unlabelled} of {self.boxes} boxes have no `label`: they find nothing."))  # fmt: skip
        strange = [label for label in self.labels if label not in known]
        if strange:
            some = _some(sorted(strange)[:_EXAMPLES])
            if len(strange) == len(self.labels):
                found.append(Warned("unknown_labels", f"No `label` is the name of a class here; the file has {some}: it will score 0."))  # fmt: skip
            else:
                boxes = sum(self.labels[label] for label in strange)
                found.append(Warned("unknown_labels", f"{boxes} of {self.boxes} boxes have a `label` that is no class here, such as {some}: they find nothing."))  # fmt: skip
        return found


_MOST_LABELS, _LONGEST_LABEL = 5000, 200
"""Different labels that are counted, and what of each: bounds the memory of a file that makes them up."""
Maker = Callable[[], Preflight]
