"""Caption metrics: the tokens of the original tokeniser, the values of the reference scorers.

`ptb_golden.tsv`: each line a caption and what Stanford's PTBTokenizer of CoreNLP 3.4.1 made of it
(`-preserveLines -lowerCase`; `ptb_golden.py` runs it anew). `coco_golden.json`: 40 images with the values of
pycocoevalcap 1.2's Bleu, Rouge and Cider on these tokens, run once.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.metrics.captions import (
    DocumentFrequency,
    bleu_of,
    bleu_stats,
    cider_d,
    rouge_l,
    tokenise_all,
    words,
)
from leaderboard.metrics.ptb import DROPPED, tokenise

HERE = Path(__file__).parent
ROWS = [line.split("\t") for line in (HERE / "ptb_golden.tsv").read_text().splitlines()]


@pytest.mark.parametrize(("caption", "original"), ROWS, ids=[r[0][:40] for r in ROWS])
def test_tokens_are_the_originals(caption: str, original: str) -> None:
    assert tokenise(caption) == [t for t in original.split(" ") if t not in DROPPED]


@pytest.mark.parametrize(
    "caption",
    [
        "",
        " ",
        ".",
        "...",
        "—",
        "\u201c \u201d",
        "😀👨‍👩‍👧",
        "\ufeff",
        "\u200b\u200d\ufe0f",
        "&nbsp;",
        "\x01\x7f",
    ],
)
def test_what_holds_no_token_has_none(caption: str) -> None:
    assert tokenise(caption) == []


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\t", "\u3000"]
)
def test_lines_are_blanks(end: str) -> None:
    assert tokenise(f"A dog,{end}a cat.{end}") == ["a", "dog", "a", "cat"]


def test_a_caption_ends_as_a_line_does() -> None:
    assert tokenise("Happy :)") == ["happy", ":-rrb-"]
    assert tokenise("In the '90") == ["in", "the", "'90"]
    assert tokenise("Vitamin A. The label") == ["vitamin", "a", "the", "label"]
    assert tokenise("See fig. 3") == ["see", "fig.", "3"]


def test_bleu_and_cider_see_a_fraction_as_two_words() -> None:
    """The tokeniser joins it by a no-break space; the reference scorers split at any blank."""
    assert tokenise("2 1/2 cups") == ["2\xa01/2", "cups"]
    assert words(tokenise("2 1/2 cups")) == ["2", "1/2", "cups"]


def test_two_captions_without_tokens_agree_by_rouge() -> None:
    assert rouge_l([[], [], ["a"]], [[[]], [["a"]], [[]]]).tolist() == [1, 0, 0]


@given(st.text(max_size=200))
def test_any_text_has_tokens_without_blanks(text: str) -> None:
    tokens = tokenise(text)
    assert all(token and not token.isspace() for token in tokens)
    assert not DROPPED & set(tokens)


@pytest.fixture(scope="module")
def golden() -> dict:
    found: dict = json.loads((HERE / "coco_golden.json").read_text())
    found["candidates"] = tokenise_all(i["candidate"] for i in found["items"])
    found["references"] = [tokenise_all(i["references"]) for i in found["items"]]
    return found


def test_bleu_is_the_references(golden: dict) -> None:
    scores = bleu_stats(golden["candidates"], golden["references"]).corpus()
    assert scores == pytest.approx(golden["bleu"], abs=1e-9)


def test_rouge_is_the_references(golden: dict) -> None:
    scores = rouge_l(golden["candidates"], golden["references"])
    assert scores.tolist() == pytest.approx(golden["rouge_items"], abs=1e-9)
    assert scores.mean() == pytest.approx(golden["rouge"], abs=1e-9)


def test_cider_is_the_references(golden: dict) -> None:
    scores = cider_d(golden["candidates"], golden["references"])
    assert scores.tolist() == pytest.approx(golden["cider_items"], abs=1e-9)
    assert scores.mean() == pytest.approx(golden["cider"], abs=1e-9)


def test_cider_depends_on_its_set_and_a_fixed_frequency_does_not() -> None:
    """One image alone scores 0 for a perfect caption, two distinct ones 10 each."""
    captions = tokenise_all(["a cat sits on the mat", "two dogs run over a hill"])
    references = [[c] for c in captions]
    assert cider_d(captions[:1], references[:1])[0] == 0
    assert cider_d(captions, references) == pytest.approx([10, 10])
    whole = DocumentFrequency(references)
    assert cider_d(captions[:1], references[:1], whole) == pytest.approx([10])


def test_a_resample_of_bleu_is_the_bleu_of_the_resample(golden: dict) -> None:
    stats = bleu_stats(golden["candidates"], golden["references"])
    rows = np.random.default_rng(0).integers(0, 40, (5, 40))
    together = bleu_of(stats.table()[rows].sum(1))
    for number, row in enumerate(rows):
        alone = bleu_stats(
            [golden["candidates"][i] for i in row], [golden["references"][i] for i in row]
        ).corpus()
        assert together[number] == pytest.approx(alone, abs=1e-12)


def test_no_metric_depends_on_the_order_of_images(golden: dict) -> None:
    order = list(range(40))
    random.Random(1).shuffle(order)
    candidates = [golden["candidates"][i] for i in order]
    references = [golden["references"][i] for i in order]
    assert bleu_stats(candidates, references).corpus() == pytest.approx(golden["bleu"], abs=1e-9)
    assert cider_d(candidates, references).mean() == pytest.approx(golden["cider"], abs=1e-9)
