"""Rewards: documents in and out, totals, and that nothing foreign is run or hangs."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.rewards import (
    FORMAT,
    MAX_WEIGHT,
    PRESETS,
    TERMS,
    Reward,
    RewardError,
    UnreadableReference,
    from_python,
    read,
    to_python,
)

ROOT = Path(__file__).parents[2]
TEXTS = ["A red circle.", "", "a a a a", '{"answer": "red"}', "Three stars on black.", "\x00 – 🙂"]


def made(*terms: tuple[str, float, dict], **more: object) -> Reward:
    rows = [{"type": t, "weight": w, "parameters": p} for t, w, p in terms]
    return Reward.from_dict({"format": FORMAT, "terms": rows, **more})


def problems(document: object) -> dict[str, str]:
    with pytest.raises(RewardError) as caught:
        Reward.from_dict(document)
    return dict(caught.value.problems)


terms = st.sampled_from(sorted(TERMS)).map(lambda slug: {"type": slug})
weights = st.floats(-MAX_WEIGHT, MAX_WEIGHT, allow_nan=False)
documents = st.lists(
    st.builds(lambda term, weight: {**term, "weight": weight}, terms, weights), min_size=1, max_size=12
).map(lambda rows: {"format": FORMAT, "name": "Any", "terms": rows})  # fmt: skip


@given(documents, st.text(max_size=80), st.text(max_size=80))
def test_a_normalised_total_is_bounded_and_is_the_sum_of_its_terms(document, said, right) -> None:
    reward = Reward.from_dict(document)
    score = reward.score(said, right)
    assert all(v is None or 0 <= v <= 1 for v in score.values)
    assert -1 - 1e-9 <= score.total <= 1 + 1e-9
    size = sum(abs(t.weight) for t in reward.terms) or 1
    parts = sum(t.weight * (v or 0) for t, v in zip(reward.terms, score.values, strict=True))
    assert score.total == pytest.approx(parts / size, abs=1e-12)


@given(documents)
def test_documents_come_back_the_same(document) -> None:
    reward = Reward.from_dict(document)
    for text in (reward.to_json(), to_python(reward)):
        assert read(text) == reward
        assert read(text).to_json() == reward.to_json()


@given(documents, st.randoms(use_true_random=False))
def test_the_order_of_terms_changes_nothing(document, rng) -> None:
    rows = list(document["terms"])
    rng.shuffle(rows)
    one, other = (
        Reward.from_dict({**document, "terms": r}).score("A red circle.", "A red star.")
        for r in (document["terms"], rows)
    )
    assert one.total == pytest.approx(other.total, abs=1e-9)


def test_sums_need_no_normalising() -> None:
    raw = made(("length", 2.0, {"least": 0, "most": 99}), ("exact", 3.0, {}), normalise="none")
    assert raw.score("red", "red").total == 5
    assert raw.score("red", "blue").total == 2
    assert made(("exact", 0.0, {})).score("red", "red").total == 0


def test_what_cannot_be_judged_adds_nothing_and_says_why() -> None:
    score = made(("iou", 1.0, {}), ("length", 1.0, {"least": 1, "most": 3})).score("red", "red")
    assert score.values == (None, 1.0)
    assert score.notes == ("the reference has no boxes", "")
    assert score.total == 0.5
    with pytest.raises(UnreadableReference):
        made(("exact", 1.0, {})).score("red", {"nothing": 1})


def test_every_problem_is_named_by_its_path() -> None:
    found = problems({
        "format": "moondream-reward/2", "name": "", "normalise": [], "colour": 1,
        "terms": [
            {"type": "bleu", "weight": math.nan, "parameters": {"order": 5}},
            {"type": "bleu", "weight": True, "parameters": {"order": 2.5, "smooth": 1}},
            {"type": "nothing"}, 3,
            {"type": "length", "weight": 10**400, "parameters": {"least": "4"}, "extra": 0},
            {"type": "length", "parameters": {"least": 9, "most": 3}},
            {"type": "json", "parameters": {"keys": "a:date"}},
            {"type": "keywords", "parameters": {"words": " , "}},
            {"type": "regex", "parameters": {"pattern": "("}},
            {"type": "regex", "parameters": {"pattern": "x" * 201}},
            {"type": ["bleu"], "parameters": []},
        ],
    })  # fmt: skip
    assert set(found) == {
        "format", "name", "normalise", "colour",
        "terms[0].weight", "terms[0].parameters.order",
        "terms[1].weight", "terms[1].parameters.order", "terms[1].parameters.smooth",
        "terms[2].type", "terms[3]",
        "terms[4].weight", "terms[4].parameters.least", "terms[4].extra",
        "terms[5].parameters.most", "terms[6].parameters.keys", "terms[7].parameters.words",
        "terms[8].parameters.pattern", "terms[9].parameters.pattern", "terms[10].type",
    }  # fmt: skip
    assert found["terms[0].weight"] == "must be finite"
    assert problems([]) == {"": "a reward is an object, not an array"}
    assert "1 to 12" in problems({"format": FORMAT, "terms": []})["terms"]
    assert "1 to 12" in problems({"format": FORMAT, "terms": [{"type": "exact"}] * 13})["terms"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)  # fmt: skip
keys = st.sampled_from(["type", "weight", "parameters", "order", "words", "pattern", "least", "x"])


@given(json_values | st.lists(st.dictionaries(keys, json_values | st.sampled_from(sorted(TERMS)))))
def test_any_json_is_a_reward_or_named_problems(value) -> None:
    document = {"format": FORMAT, "terms": value}
    try:
        Reward.from_dict(document)
    except RewardError as error:
        named = error.problems
    else:
        return
    assert named
    assert all(text for _, text in named)


@pytest.mark.parametrize(
    "text",
    ["", "{", "{" * 60_000, "[" * 60_000, "-" * 60_000 + "1", "REWARD = " + "-" * 60_000 + "1",
     "x" * 100_001, "{" + " " * 100_001, "REWARD = open('/etc/passwd').read()", "import os",
     'REWARD = {"format": ' + repr(FORMAT) + ', "terms": [1e999]}'],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(RewardError):
        read(text)


def test_python_is_read_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    source = f"open({str(mark)!r}, 'w').close()\n" + to_python(PRESETS["count-right"].reward)
    assert from_python(source) == PRESETS["count-right"].reward
    assert not mark.exists()


@pytest.mark.parametrize("name", ['x"""\nimport os', "x\\", "{braces} %s", "Zwei ‘Worte’"])
def test_the_python_scores_alike_whatever_its_name(name: str, tmp_path: Path) -> None:
    document = PRESETS["short-captions"].reward.to_dict() | {"name": name}
    document["terms"] += PRESETS["valid-json"].reward.to_dict()["terms"]
    reward = Reward.from_dict(document)
    module: dict = {"__name__": "reward"}
    exec(to_python(reward), module)
    right = ["A red circle."] * len(TEXTS)
    scores = reward.score_all(zip(TEXTS, right, strict=True))
    assert module["reward"](TEXTS, right) == [s.total for s in scores]
    assert module["reward"](TEXTS) == [reward.score(text).total for text in TEXTS]
    assert module["REWARD"] == reward.to_dict()


def test_the_python_is_a_program_too(tmp_path: Path) -> None:
    reward = PRESETS["boxes-overlap"].reward
    file = tmp_path / "my_reward.py"
    file.write_text(to_python(reward))
    box = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.5, "y_max": 0.5}
    rows = [
        {"completion": {"objects": [box]}, "reference": {"objects": [box]}},
        {"completion": "no"},
    ]
    done = subprocess.run(
        [sys.executable, file], input="\n".join(map(json.dumps, rows)), capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["total"] == 1
    assert second["terms"] == [["iou", None], ["iou", None], ["count", None]]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a{1000}){1000}", "(?R)", "a{0,99999}"])
def test_patterns_that_never_end_are_refused(pattern: str) -> None:
    started = time.monotonic()
    document = {"format": FORMAT, "terms": [{"type": "regex", "parameters": {"pattern": pattern}}]}
    assert "terms[0].parameters.pattern" in problems(document)
    assert time.monotonic() - started < 2


def test_a_pattern_that_is_slow_on_one_text_only_is_given_up() -> None:
    reward = made(("regex", 1.0, {"pattern": "(x+)+$"}), ("length", 1.0, {"least": 0, "most": 9}))
    started = time.monotonic()
    scores = reward.score_all([("x" * 3000 + "z", None)] * 40 + [("xx", None)])
    assert time.monotonic() - started < 2
    assert [list(scores[n].values) for n in (0, 40)] == [[0, 1], [None, 1]]
    assert [scores[n].notes[0] for n in (0, 40)] == [
        "no answer within 50 ms",
        "not asked: too slow",
    ]
    assert reward.score("xx").values[0] == 1


def test_a_budget_ends_the_work() -> None:
    scores = made(("bleu", 1.0, {})).score_all([("a b", "a b")] * 3, budget_s=-1)
    assert [s.values for s in scores] == [(None,)] * 3
    assert scores[0].notes == ("not asked: too slow",)


def test_presets_are_sound() -> None:
    for slug, preset in PRESETS.items():
        assert read(preset.reward.to_json()) == preset.reward
        assert preset.slug == slug


def test_neither_rewards_nor_metrics_import_torch_or_django() -> None:
    code = (
        "import sys, inference.engine.rewards, leaderboard.scoring, leaderboard.metrics.vqa;"
        "bad = {'torch', 'transformers', 'django'} & set(sys.modules); assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_leaderboards_keep_their_metrics_names() -> None:
    from inference.engine.metrics import captions, counts, ptb, regions
    from leaderboard.metrics import captions as upper_captions
    from leaderboard.metrics import ptb as upper_ptb
    from leaderboard.metrics import regions as upper_regions
    from leaderboard.metrics import vqa

    assert upper_ptb.tokenise is ptb.tokenise
    assert upper_captions.cider_d is captions.cider_d
    assert upper_captions.DocumentFrequency is captions.DocumentFrequency
    assert upper_regions.box_iou is regions.box_iou
    assert vqa.read_count is counts.read_count
