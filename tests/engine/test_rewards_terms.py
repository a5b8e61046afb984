"""Each term on values worked out by hand, beside a reference implementation, and its promises."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from inference.engine.metrics.captions import DocumentFrequency, cider_d, tokenise_all
from inference.engine.metrics.ptb import tokenise
from inference.engine.rewards import TERMS, Case
from inference.engine.rewards.measures import CORPUS, paired
from inference.world import DOMAINS, caption
from inference.world.evaluation import held_out
from leaderboard.metrics.regions import f1_at_iou
from leaderboard.services.world import DEV_SEED


def value(slug: str, completion: Any, reference: Any = None, /, **parameters: Any) -> float | None:
    term = TERMS[slug]
    return term.measure(Case(completion, reference), term.defaults | parameters)


WORDS = st.lists(
    st.sampled_from(["a", "red", "blue", "big", "circle", "star", "on", "white", "the"]),
    max_size=12,
)
SENTENCES = WORDS.map(" ".join)
coordinate = st.integers(0, 20).map(lambda n: n / 20)
BOXES = st.lists(
    st.tuples(coordinate, coordinate, coordinate, coordinate).map(
        lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
    ), max_size=6,
)  # fmt: skip


def objects(boxes: Any) -> dict[str, Any]:
    names = ("x_min", "y_min", "x_max", "y_max")
    return {"objects": [dict(zip(names, box, strict=True)) for box in boxes]}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@given(said=SENTENCES.filter(bool), right=st.lists(SENTENCES.filter(bool), min_size=1, max_size=3))
def test_bleu_is_sacrebleus_with_one_added(order: int, said: str, right: list[str]) -> None:
    judge = BLEU(smooth_method="add-k", smooth_value=1, max_ngram_order=order, tokenize="none",
                 effective_order=False)  # fmt: skip
    said, right = " ".join(tokenise(said)), [" ".join(tokenise(r)) for r in right]
    theirs = judge.corpus_score([said], [[r] for r in right]).score / 100
    if not set(said.split()) & set(" ".join(right).split()):
        assert value("bleu", said, right, order=order) == 0
    elif len(said.split()) >= order:  # theirs stops at the first order without n-grams
        assert value("bleu", said, right, order=order) == pytest.approx(theirs, abs=1e-6)


@given(SENTENCES)
def test_bleu_of_the_reference_itself_is_one(text: str) -> None:
    assert value("bleu", text, text) == pytest.approx(1)


def test_bleu_by_hand() -> None:
    # Unigrams 3/4, bigrams (1+1)/(3+1); brevity exp(1 - 5/4).
    assert value("bleu", "a red big star", "a red circle and star", order=2) == pytest.approx(
        0.778800783 * (0.75 * 0.5) ** 0.5
    )
    assert value("bleu", "", "a red circle") == 0
    assert value("bleu", "anything") is None


def test_cider_counts_in_the_corpus_it_says() -> None:
    corpus = CORPUS.read_text().splitlines()
    frequency = DocumentFrequency([t] for t in tokenise_all(corpus))
    said, right = "A large red star on a black background.", corpus[0]
    expected = cider_d(tokenise_all([said]), [tokenise_all([right])], frequency)[0] / 10
    assert value("cider", said, right) == pytest.approx(expected)
    assert 0 < expected < 1
    assert value("cider", right, right) == pytest.approx(1)
    assert value("cider", said, right, corpus="one star\ntwo dogs") != pytest.approx(expected)


def test_the_corpus_is_the_public_development_split() -> None:
    captions = [
        caption(item.scene, "normal")
        for domain in DOMAINS
        for item in held_out(10, seed=DEV_SEED, domain=domain)
    ]
    assert CORPUS.read_text().splitlines() == captions


def test_exact() -> None:
    assert value("exact", " Red. ", ["blue", "RED"]) == 1
    assert value("exact", "reddish", ["red"]) == 0
    assert value("exact", {"answer": "3"}, 3) == 1
    assert value("exact", "red", {"captions": ["Red"]}) == 1


def test_length_falls_outside_its_range() -> None:
    one = {"least": 2, "most": 3, "slack": 4}
    values = [value("length", "w " * n, **one) for n in range(9)]
    assert values == [0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0, 0]


@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 30))
def test_brevity_never_rewards_more_words(words: int, wish: int, more: int) -> None:
    both = [value("brevity", "w " * n, wish=wish, limit=wish + more) for n in (words, words + 1)]
    assert both[0] >= both[1]
    assert value("brevity", "  ", wish=wish, limit=wish + more) == 0


@given(st.lists(SENTENCES, min_size=1, max_size=3), SENTENCES.filter(bool))
def test_saying_it_again_never_repeats_less(start: list[str], said: str) -> None:
    text = " ".join([*start, said])
    assert value("repetition", f"{text} {said}", n=1) >= value("repetition", text, n=1) - 1e-12


def test_repetition_by_hand() -> None:
    assert value("repetition", "a star a star a star", n=2) == pytest.approx(3 / 5)
    assert value("repetition", "a red star", n=2) == 0
    assert value("repetition", "star", n=2) == 0


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ('{"a": 1}', {}, 1), ("[1]", {}, 1), ("3", {}, 1), ("red", {}, 0), ("", {}, 0),
        ('{"a": NaN}', {}, 0), ('Sure: {"a": 1}', {}, 0), ("{" * 9000, {}, 0), ("[" * 3999, {}, 0),
        ("[1]", {"kind": "object"}, 0), ("{}", {"kind": "object"}, 1), ("{}", {"kind": "array"}, 0),
        ('{"a": 1}', {"keys": "a, b"}, 0.5), ('{"a": 1}', {"keys": "a:string"}, 0),
        ('{"a": true}', {"keys": "a:integer"}, 0), ('{"a": true}', {"keys": "a:boolean"}, 1),
        ('{"a": null, "b": 1.5}', {"keys": "a:null, b:number"}, 1), ("[1]", {"keys": "a"}, 0),
    ],
)  # fmt: skip
def test_json(text: str, parameters: dict[str, str], expected: float) -> None:
    assert value("json", text, **parameters) == expected


def test_an_answer_with_boxes_is_json() -> None:
    assert value("json", objects([(0, 0, 1, 1)]), kind="object", keys="objects:array") == 1


def test_keywords_are_whole_words() -> None:
    text = "A RED circle, covered in blue-green."
    assert value("keywords", text, words="red, star") == 0.5
    assert value("keywords", text, words="over") == 0
    assert value("keywords", text, words="blue\ngreen", count="all") == 1
    assert value("keywords", text, words="blue, star", count="all") == 0
    assert value("keywords", text, words="blue, star", count="any") == 1
    assert value("keywords", "", words="red") == 0
    assert value("keywords", "c++ or c", words="c++") == 1


def test_patterns() -> None:
    assert value("regex", "There are 3.", pattern=r"\d") == 1
    assert value("regex", "There are 3.", pattern=r"\d", where="whole") == 0
    assert value("regex", " 3 ", pattern=r"\d", where="whole") == 1
    assert value("regex", "RED", pattern="red") == 0
    assert value("regex", "RED", pattern="red", ignore_case=True) == 1


@given(BOXES, BOXES, st.randoms(use_true_random=False), st.sampled_from(["f1", "mean"]))
def test_the_order_of_boxes_changes_nothing(said, right, rng: random.Random, score: str) -> None:
    first = value("iou", objects(said), objects(right), score=score)
    rng.shuffle(said)
    rng.shuffle(right)
    again = value("iou", objects(said), {"objects": [{"box": list(b)} for b in right]}, score=score)
    assert first == pytest.approx(again, abs=1e-12)
    assert 0 <= first <= 1


@given(BOXES, BOXES)
def test_the_f1_of_boxes_is_the_leaderboards(said, right) -> None:
    """But where several pairs overlap alike, which each breaks in its own way."""
    overlaps = list(paired(said, right))
    if len(set(overlaps)) == len(overlaps):
        ours = value("iou", objects(said), objects(right), threshold=0.5)
        assert ours == pytest.approx(f1_at_iou([said], [right])) or len(set(said)) < len(said)


@given(BOXES.map(lambda boxes: [b for b in boxes if b[2] > b[0] and b[3] > b[1]]))
def test_boxes_equal_to_the_reference_are_one(boxes) -> None:
    for score in ("f1", "mean"):
        assert value("iou", objects(boxes), objects(boxes), score=score) == pytest.approx(1)


def test_boxes_by_hand() -> None:
    right = objects([(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)])
    said = objects([(0, 0, 0.5, 0.25)])
    assert value("iou", said, right, score="mean") == pytest.approx(0.25)
    assert value("iou", said, right, score="f1", threshold=0.5) == pytest.approx(2 / 3)
    assert value("iou", said, right, score="f1", threshold=0.55) == 0
    assert value("iou", "red", right) == 0
    assert value("iou", objects([]), objects([])) == 1
    assert (
        value("iou", {"objects": [{"x_min": 10**400, "y_min": 0, "x_max": 1, "y_max": 1}]}, right)
        == 0
    )
    assert value("iou", "red", "red") is None


def test_count() -> None:
    assert value("count", "three", 3) == 1
    assert value("count", "There are 3 stars.", 3) == 0
    assert value("count", "There are 3 stars.", 3, where="first") == 1
    assert value("count", "2 red, 3 in all", 3, where="last") == 1
    assert value("count", "none", 0, where="first") == 1
    assert value("count", "2", 3, tolerance=1) == 0.5
    assert value("count", "5", 3, tolerance=1) == 0
    assert value("count", "red", 3, tolerance=9) == 0
    assert value("count", objects([(0, 0, 1, 1)] * 2), objects([(0, 0, 1, 1)] * 2)) == 1
    assert value("count", {"points": [{"x": 0, "y": 0}]}, {"count": 2}, tolerance=1) == 0.5
    assert value("count", "3", "red") is None


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9))
def test_a_count_nearer_the_truth_is_worth_no_less(said: int, right: int, tolerance: int) -> None:
    nearer = said + (said < right) - (said > right)
    assert value("count", str(nearer), right, tolerance=tolerance) >= value(
        "count", str(said), right, tolerance=tolerance
    )


@pytest.mark.parametrize("slug", sorted(TERMS))
@given(said=st.text(max_size=60), right=st.none() | st.text(max_size=60))
def test_every_term_stays_in_its_range(slug: str, said: str, right: str | None) -> None:
    found = value(slug, said, right)
    assert found is None or 0 <= found <= 1
    if not TERMS[slug].needs:
        assert found is not None


def test_points_inside():
    right = objects([(0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)])

    def points(*places):
        return {"points": [{"x": x, "y": y} for x, y in places]}

    for said, expected in (
        (points((0.2, 0.2), (0.7, 0.7)), 1.0),
        (points((0.7, 0.7), (0.2, 0.2)), 1.0),  # in any order
        (points((0.2, 0.2), (0.21, 0.2)), 0.5),  # a box is hit once
        (points((0.2, 0.2)), 2 / 3),
        (points((0.5, 0.5)), 0.0),
        (points(), 0.0),
        ("over there", 0.0),
        ({"points": [{"x": "left", "y": 0.2}]}, 0.0),
    ):
        assert value("points", said, right) == pytest.approx(expected)
    assert value("points", points(), {"objects": []}) == 1
    assert value("points", points((0.2, 0.2)), "a text") is None
