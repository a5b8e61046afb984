"""The terms a reward is made of: what each measures, in 0..1, with its source.

A term that measures something unwanted (repetition) has a negative weight by default: it is then a
penalty. Nothing else tells a penalty from a reward.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inference.engine.rewards import measures
from inference.engine.rewards.cases import Case
from inference.engine.rewards.parameters import Parameter, Problem, ordered, words_of
from inference.engine.rewards.patterns import MAX_PATTERN, BadPattern, pattern

Values = dict[str, Any]


def _nothing(values: Values) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, slots=True)
class TermType:
    """One kind of term."""

    slug: str
    title: str
    definition: str
    source: str
    """Who defined it; ours where nobody did."""
    measure: Callable[[Case, Values], float | None]
    parameters: tuple[Parameter, ...] = ()
    needs: str = ""
    """What of the reference it reads: "text", "boxes", "count"; empty for none."""
    weight: float = 1.0
    check: Callable[[Values], Iterable[Problem]] = _nothing
    """What is wrong with parameters that are each right by themselves."""

    @property
    def defaults(self) -> Values:
        return {p.name: p.default for p in self.parameters}


def _length_range(values: Values) -> Iterable[Problem]:
    return ordered(values, "least", "most")


def _brevity_range(values: Values) -> Iterable[Problem]:
    return ordered(values, "wish", "limit")


def _some_words(values: Values) -> Iterable[Problem]:
    words = words_of(values["words"])
    if not words:
        yield "words", "needs at least one word"
    elif len(words) > 50:
        yield "words", f"holds {len(words)}; at most 50 are taken"


def _known_keys(values: Values) -> Iterable[Problem]:
    for key in words_of(values["keys"]):
        kind = key.partition(":")[2].strip()
        if kind and kind not in measures.JSON_KINDS:
            yield "keys", f"{key!r}: a type is one of {', '.join(measures.JSON_KINDS)}"


def _good_pattern(values: Values) -> Iterable[Problem]:
    if not values["pattern"]:
        yield "pattern", "is empty"
        return
    try:
        pattern(values["pattern"], ignore_case=values["ignore_case"])
    except BadPattern as error:
        yield "pattern", str(error)


_OURS = "Defined here."
TERMS: Mapping[str, TermType] = {
    term.slug: term
    for term in (
        TermType(
            "bleu", "BLEU",
            "How many n-grams of the answer are in a reference, with a penalty for brevity. One sentence has few n-grams, "
            "so one is added to hits and n-grams from bigrams on (smoothing 2 of Chen & Cherry). Tokens as COCO's.",
            "Papineni et al. 2002; smoothing: Lin & Och 2004, as compared by Chen & Cherry 2014.",
            measures.bleu,
            (Parameter("order", "Longest n-gram", "integer", 4, "1 to 4 tokens.", 1, 4),), needs="text",
        ),
        TermType(
            "cider", "CIDEr-D",
            "Agreement with the references in n-grams, where those rare in a corpus weigh more; a tenth of the usual figure, "
            "so that 1 is a caption equal to its reference. How rare an n-gram is comes from a fixed corpus: the captions of "
            "the public development split of World captions, or yours.",
            "Vedantam et al. 2015.", measures.cider,
            (Parameter("corpus", "Corpus", "text", "", "Captions of your field, one a line. Empty: the drawn world's.",
                       high=20_000, lines=3),), needs="text",
        ),
        TermType(
            "exact", "Exact answer", "1 if the answer is one of the references but for case, blanks around it and a last full stop.",
            _OURS, measures.exact, needs="text",
        ),
        TermType(
            "length", "Length", "1 while the number of words is in the range, falling in a line to 0 outside it.",
            "A length constraint as in Zhou et al. 2023, made gradual here.", measures.length,
            (Parameter("least", "At least", "integer", 5, "Words.", 0, 2000),
             Parameter("most", "At most", "integer", 25, "Words.", 1, 2000),
             Parameter("slack", "Falls to 0 over", "integer", 10, "Words outside the range.", 1, 2000)),
            check=_length_range,
        ),
        TermType(
            "brevity", "Brevity", "1 up to the wished number of words, falling in a line to 0 at the limit. Silence is 0, "
            "or a model would learn to say nothing.",
            _OURS, measures.brevity,
            (Parameter("wish", "Wished", "integer", 8, "Words.", 1, 2000),
             Parameter("limit", "Limit", "integer", 40, "Words at which it is 0.", 1, 2000)),
            weight=0.5, check=_brevity_range,
        ),
        TermType(
            "json", "Valid JSON", "0 unless the whole answer is JSON (RFC 8259: no NaN, nothing around it) of the wanted kind; "
            "then the share of wanted keys that it has.",
            "A format constraint as in Zhou et al. 2023.", measures.json_valid,
            (Parameter("kind", "Kind", "choice", "any", choices=("any", "object", "array")),
             Parameter("keys", "Keys", "text", "", "Between commas; with a type if it matters: count:integer.", high=1000)),
            check=_known_keys,
        ),
        TermType(
            "keywords", "Keywords", "The share of the words that occur in the answer, whatever their case, as whole words. "
            "With a negative weight they are unwanted.",
            "A keyword constraint as in Zhou et al. 2023.", measures.keywords,
            (Parameter("words", "Words", "text", "red, blue", "Between commas or one a line.", high=2000, lines=2),
             Parameter("count", "Counts", "choice", "share", choices=("share", "any", "all"))),
            check=_some_words,
        ),
        TermType(
            "regex", "Pattern", "1 if the regular expression matches. A search that takes longer than 50 ms is given up and is 0.",
            _OURS, measures.matches,
            (Parameter("pattern", "Pattern", "text", r"^[A-Z].*\.$", "Python's syntax.", high=MAX_PATTERN),
             Parameter("where", "Matches", "choice", "anywhere", choices=("anywhere", "whole")),
             Parameter("ignore_case", "Ignore case", "flag", default=False)),
            check=_good_pattern,
        ),
        TermType(
            "iou", "Boxes (IoU)", "Boxes of the answer against the reference's. Pairs are made greedily, the greatest overlap "
            "first, each box once. Then F1 of pairs at a threshold, or the mean overlap, where a box without a partner is 0.",
            "Intersection over union as in Everingham et al. 2010; F1 as this site's leaderboards use it.", measures.iou,
            (Parameter("score", "Score", "choice", "f1", choices=("f1", "mean")),
             Parameter("threshold", "Threshold", "number", 0.5, "Of F1: the least overlap of a hit.", 0.05, 0.95)), needs="boxes",
        ),
        TermType(
            "points", "Points inside", "Points of the answer against the reference's boxes: F1 of the most pairs in which a point lies in its own box. "
            "A box without a point and a point without a box cost alike.",
            "F1 as this site's leaderboards use it for pointing.", measures.points_inside, needs="boxes",
        ),
        TermType(
            "count", "Count", "1 for the right number, less by a step for each one off. The number of boxes or points, or a number "
            "in the text: a numeral, or a word to twenty.",
            _OURS, measures.count,
            (Parameter("tolerance", "Tolerance", "integer", 0, "How far off still counts for something.", 0, 100),
             Parameter("where", "Number is", "choice", "whole", "The whole answer, or the first or last in a sentence.",
                       choices=("whole", "first", "last"))), needs="count",
        ),
        TermType(
            "repetition", "Repetition", "The share of n-grams that the answer has said before: 1 − distinct / all. It is unwanted: "
            "its weight is negative.",
            "seq-rep-n of Welleck et al. 2019.", measures.repetition,
            (Parameter("n", "Tokens in a row", "integer", 2, "1 to 8.", 1, 8),), weight=-0.5,
        ),
    )
}  # fmt: skip
