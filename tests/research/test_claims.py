"""What starter content and documents say is so. A figure in a text stands in this table with what makes
it true, or it is not written; so are promises, commands and files.

A new figure fails `test_every_figure_is_in_the_table` until a line here shows that it holds. Figures
that a setting decides are named in braces (`research.facts`).
"""

import ast
import functools
import html
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.test import Client

from bench.learnt import Learnt, read_rows, table
from research import facts
from research.starter import docs, news, site
from tests.foundation.test_project import ROOT

_KEYS = {
    "slug", "code", "sample", "skill", "url", "link_url", "secondary_url", "call_url", "node_url", "accent",
    "type", "paper", "anchor", "notebook", "figure", "tone", "node_price", "tabs",
}  # fmt: skip
"""Of starter content: what is no text."""
_NAMES = re.compile(
    r"Moondream ?[23]|phi-1\.5|Python 3\.11 or newer|RFC 9457|IPv6|/64\b|NF4|LLM\.int8\(\)|Apache-2\.0|0BSD"
    r"|License 1\.1|UTF-8|base64|S3|c7i\.large|us-east-1|F1|4-bit files|\{[a-z_]+\}",
    re.IGNORECASE,
)
"""Names that have digits in them."""
_FIGURE = re.compile(
    r"[−-]?\d[\d.,]*|\b(?:three|four|five|six|seven|eight|nine|ten|twelve|sixteen|twenty|thirty|forty|hundred"
    r"|thousand)\b",
    re.IGNORECASE,
)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _KEYS:
                yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _plain(markup: str) -> str:
    text = re.sub(r"<code>.*?</code>", "…", markup, flags=re.DOTALL)
    return (
        re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text))).replace(" .", ".").strip()
    )


@functools.cache
def _starter() -> tuple[str, ...]:
    """Each text of the pages that a site starts with. News and data sets are apart: they report what
    their sources say, and name them."""
    pages = [site.HOME_BODY, site.STAGES, site.DOMAINS, site.PAGES, site.LICENCES, site.PRIVACY, site.FOOTER]  # fmt: skip
    return tuple(_plain(text) for text in _strings([*pages, docs.CHAPTERS]))


def _readme() -> str:
    return re.sub(r"\s+", " ", (ROOT / "README.md").read_text())


def _config() -> dict[str, Any]:
    folder = Path(settings.INFERENCE_MODEL_DIR)
    return dict(json.loads((folder / "config.json").read_text()))


def _parameters() -> int:
    from safetensors import safe_open

    file = Path(settings.INFERENCE_MODEL_DIR) / "model.safetensors"
    with safe_open(file, "np") as weights:
        names = [n for n in weights.keys() if not n.endswith("inv_freq")]  # noqa: SIM118
        shapes = (weights.get_slice(name).get_shape() for name in names)
        return sum(functools.reduce(lambda a, b: a * b, shape, 1) for shape in shapes)


def _card(row: str) -> str:
    """A figure at half precision of the model card, which `bench.embedded` writes."""
    card = (Path(settings.INFERENCE_MODEL_DIR) / "README.md").read_text()
    found = re.search(rf"^\| {re.escape(row)} \| ([^|]+) \|", card, re.MULTILINE)
    assert found is not None, row
    return found[1].strip()


def _least_memory() -> bool:
    reported = json.loads((ROOT / "leaderboard" / "reported.json").read_text())
    told = next(f["values"] for f in reported["figures"] if f["benchmark"] == "GPU memory")
    return len(told) == 6 and min(told, key=told.get) == "moondream2" and told["moondream2"] == 3.87


def _tested(test: str) -> Callable[[], bool]:
    """Shown by a test of that name."""
    file, name = test.split("::")
    return lambda: f"def {name}(" in (ROOT / "tests" / file).read_text()


def _disk_mb() -> int:
    """What is asked for before packages are installed; data of a new site takes some hundred MB more.
    Web, worker and their servers took less than 1 GB of memory when this was written."""
    found = re.search(r'"\$free" -ge (\d+)', (ROOT / "bin" / "_bootstrap.sh").read_text())
    assert found is not None
    return int(found[1])


def _plan() -> Any:
    from inference.world.train import Plan

    return Plan()


def _world() -> bool:
    from inference.world.drawing import FONT_FILES
    from inference.world.vocabulary import COLOURS, SHAPES, SIZES, WORDS

    return (len(SHAPES), len(COLOURS), len(SIZES), len(WORDS), len(FONT_FILES)) == (6, 6, 2, 16, 2)


def _products() -> int:
    from inference.world.vocabulary import PRODUCTS

    return len(PRODUCTS)


def _confidence_window() -> float:
    from inference.engine import moondream

    return moondream._WINDOW


def _pattern_limits() -> tuple[int, float]:
    from inference.engine.rewards import patterns

    return patterns.MAX_PATTERN, patterns.TIME_S


def _corpus() -> int:
    from inference.engine.rewards import terms

    return len((Path(terms.__file__).parent / "corpus.txt").read_text().splitlines())


def _graphs() -> int:
    return len(list((ROOT / "inference" / "weights" / "browser").glob("*.onnx")))


def _precisions() -> int:
    from inference.services.catalogue import PRECISIONS

    return len(PRECISIONS)


def _numeral(word: str) -> int | None:
    from inference.engine.metrics.counts import read_count

    return read_count(word)


def _lengths() -> bool:
    from inference.world import LENGTHS

    return sorted(LENGTHS) == ["long", "normal", "short"]


CLAIMS: dict[str, Callable[[], bool]] = {
    "3.87 GB of GPU memory , the least of the six in their table": _least_memory,
    "a model of 5.7 million weights": lambda: round(_parameters() / 1e6, 1) == 5.7,
    "One set of weights, three precisions": lambda: _precisions() == 3,
    "Three jobs, drawn small": lambda: len(site.DOMAINS) == 3,
    "Nine tasks an image": lambda: _plan().segments == 9,
    "nine tasks an image": lambda: _plan().segments == 9,
    "1,024 bins": lambda: _config()["region"]["coord_out_dim"] == 1024,
    "Eight bits, then four": lambda: _precisions() == 3,
    "two graphs": lambda: _graphs() == 2,
    "Four questions you can ask": _tested("clients/test_python.py::test_detect_and_point"),
    "in three lengths": _lengths,
    "one of three lengths: short, normal, long": _lengths,
    "at half precision, in 8 bits and in 4 bits": lambda: _precisions() == 3,
    "Half precision, 8-bit and 4-bit": lambda: _precisions() == 3,
    "in 16, 8 and 4 bits": lambda: _precisions() == 3,
    "8-bit follows": lambda: _precisions() == 3,
    "4-bit is": lambda: _precisions() == 3,
    "one of sixteen words": _world,
    "six shapes, six colours, two sizes, numbers and sixteen words in two fonts": _world,
    "64 products": lambda: _products() == 64,
    "trained on all four": lambda: len(__import__("inference.world", fromlist=["DOMAINS"]).DOMAINS) == 4,
    "A clear 503": _tested("foundation/test_outages.py::test_without_the_broker_the_api_says_when_to_return_and_pages_stay"),
    "more than 8 bits are scaled by the bits they use: 12 bits in 16 are read as 12":
        _tested("inference/test_image_kinds.py::test_twelve_bits_in_sixteen_alike_in_every_file"),
    "0 to 1 of width and height": _tested("clients/test_python.py::test_detect_and_point"),
    "4 GB of memory and 4 GB of disk": lambda: _disk_mb() < 4000,
    "A 429 or a 503 carries": _tested("foundation/test_outages.py::test_without_the_broker_the_api_says_when_to_return_and_pages_stay"),
    "the answer is 429": _tested("foundation/test_limits.py::test_the_wait_is_until_there_is_room"),
    "within 5% of the image": lambda: _confidence_window() == 0.05,
    "each term is 0 to 1": _tested("engine/test_rewards_terms.py::test_every_term_stays_in_its_range"),
    "it lies in −1 to 1": _tested("engine/test_rewards.py::test_a_normalised_total_is_bounded_and_is_the_sum_of_its_terms"),
    "smoothing 2 of Chen and Cherry": _tested("engine/test_rewards_terms.py::test_bleu_is_sacrebleus_with_one_added"),
    "the forty captions of the public development split": lambda: _corpus() == 40,
    "1 if the answer is one of the references": _tested("engine/test_rewards_terms.py::test_exact"),
    "1 within a range of words, then down to 0 in a line": _tested("engine/test_rewards_terms.py::test_length_falls_outside_its_range"),
    "1 up to the wished number of words, 0 at the limit": _tested("engine/test_rewards_terms.py::test_brevity_never_rewards_more_words"),
    "Saying nothing is 0": _tested("engine/test_rewards_terms.py::test_brevity_never_rewards_more_words"),
    "1 if a regular expression matches": _tested("engine/test_rewards_terms.py::test_patterns"),
    "200 characters and 50 ms a text; one that is still searching then is 0": lambda: _pattern_limits() == (200, 0.05),
    "a box without a partner counts as 0": _tested("engine/test_rewards_terms.py::test_boxes_by_hand"),
    "1 for the right number, less by 1 / (tolerance + 1) for each one off": _tested("engine/test_rewards_terms.py::test_count"),
    "a word to twenty": lambda: (_numeral("twenty"), _numeral("thirty")) == (20, None),
    # The README's.
    "a 5.7 M parameter network": lambda: round(_parameters() / 1e6, 1) == 5.7,
    "96.5% of 1,500 held-out questions": lambda: _card("VQA exact match, all") == "96.5%",
    "off by 2.5% of the image on average": lambda: _card("point error, mean / median, of the image's side").startswith("2.5% "),
    "signs it reads less well, 70%": lambda: _card("· reading") == "70.0%",
    "`requirements.txt` pins torch 2.13.0": lambda: "torch==2.13.0" in (ROOT / "requirements.txt").read_text(),
}  # fmt: skip
"""Words of starter content or of the README: what shows that they are so."""


def _is_reward(row: Learnt) -> bool:
    return all(0 <= value <= 1 for value in (*row.likeliest, *row.sampled)) and row.cpu_minutes > 0


CLAIMS |= {" ".join(row.row()): functools.partial(_is_reward, row) for row in read_rows()}


def test_the_guide_shows_what_tuning_was_measured_to_learn() -> None:
    text = (ROOT / "docs" / "tuning.md").read_text()
    found = re.search(r"<!-- table -->\n(.*)\n<!-- end of table -->", text, re.DOTALL)
    assert found is not None
    assert found[1] == table(read_rows())


@pytest.mark.parametrize("words", CLAIMS)
def test_what_is_said_is_so(words: str) -> None:
    assert CLAIMS[words](), words


@pytest.mark.parametrize("words", CLAIMS)
def test_the_table_has_nothing_that_is_not_said(words: str) -> None:
    assert any(words in text for text in (*_starter(), _readme())), words


def test_every_figure_is_in_the_table() -> None:
    loose: list[str] = []
    for text in _starter():
        covered = [
            range(m.start(), m.end()) for c in CLAIMS for m in re.finditer(re.escape(c), text)
        ]
        covered += [range(m.start(), m.end()) for m in _NAMES.finditer(text)]
        loose += [
            text[max(0, found.start() - 40) : found.end() + 30]
            for found in _FIGURE.finditer(text)
            if not any(found.start() in part for part in covered)
        ]
    assert not loose, loose


def test_what_is_to_come_stands_on_the_roadmap_alone() -> None:
    """Its cards have a stage, and the days on which they reached it."""
    promise = re.compile(
        r"\b(still to come|coming|planned|soon|upcoming|in the works|will be|will follow)\b", re.I
    )
    found = [text for text in _starter() if promise.search(text)]
    assert not found, found
    templates = [p for p in (ROOT / "templates").rglob("*.html") if re.search(r"\b(still to come|coming soon|planned)\b", p.read_text(), re.I)]  # fmt: skip
    assert not templates
    assert all({"stage", "research_on"} <= set(card) for card in news.ROADMAP)


def test_braces_name_figures_that_there_are() -> None:
    known = {*facts.FACTS, "base_url", "site"}
    named = {name for text in _starter() for name in re.findall(r"\{([a-z_]+)\}", text)}
    assert named
    assert named <= known


def test_figures_of_settings_follow_the_settings(starter: Any, settings: Any) -> None:
    settings.ANON_RATE, settings.KEY_RATE = "7/30s", "9/h"
    settings.INFERENCE_MAX_IMAGE_BYTES, settings.INFERENCE_IMAGE_RETENTION_H = 3 * 2**20, 1
    settings.INFERENCE_MAX_IMAGE_PIXELS = 5_000_000

    def read(path: str) -> str:
        answer = Client().get(path, {"unknown": "1"})  # no kept page
        assert answer.status_code == 200
        return _plain(answer.content.decode())

    assert "7 times in 30 seconds" in read("/pricing/")
    assert "9 times an hour" in read("/pricing/")
    assert "9 times an hour" in read("/docs/guides/errors/")
    assert "up to 3 MB and 5 million pixels (JPEG: 20 million)" in read("/docs/")
    assert "for 1 hour," in read("/privacy/")
    assert "Up to 3 MB" in read("/playground/")
    assert "{" not in re.sub(r"\{[^}]*\W[^}]*\}", "", read("/pricing/"))


def test_other_braces_stay() -> None:
    assert facts.filled("{question} {0} {image_mb") == "{question} {0} {image_mb"
    assert facts.filled("{image_mb}") == "20"


# Licences, commands and files


def test_all_software_in_the_page_is_named_with_its_licence() -> None:
    named = re.sub(r"[\s-]", "", site.LICENCES.lower())
    for folder in (ROOT / "static" / "vendor").iterdir():
        name = re.sub(r"-[\d.]+$", "", folder.name)
        assert name.replace("-", "") in named, folder.name


DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/operations.md",
    "docs/integrity.md",
)


def _documents() -> str:
    return "\n".join(
        [*((ROOT / name).read_text() for name in DOCUMENTS), json.dumps(docs.CHAPTERS)]
    )


def test_every_command_that_is_named_is_there() -> None:
    commands = get_commands()
    named = re.findall(r"manage(?:\.py)? ([a-z_]+)(?: ([a-z]+))?", _documents())
    assert len(named) > 10
    for name, word in named:
        assert name in commands, name
        if commands[name] in settings.INSTALLED_APPS and word:
            parser = load_command_class(commands[name], name).create_parser("manage.py", name)
            choices = [a.choices for a in parser._actions if isinstance(a.choices, dict | list)]
            assert (
                not choices
                or any(word in c for c in choices)
                or word not in ("add", "pull", "list")
            ), (name, word)
    for module in set(re.findall(r"python -m ([\w.]+)", _documents())):
        assert importlib.util.find_spec(module.rstrip(".")), module


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|md|yml|js|txt|json))`", _documents()))
    named |= {n for n in re.findall(r"\]\(([\w./-]+)\)", _documents()) if "://" not in n}
    assert len(named) > 15
    missing = [
        name for name in named if not (ROOT / name).exists() and not list(ROOT.glob(f"*/{name}"))
    ]
    assert not missing


def test_settings_that_are_named_are_there() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in set(
        re.findall(
            r"`((?:INFERENCE|STORAGE|STREAMS|STATUS|REFERENCES|TRUSTED|CORS)_[A-Z_]+)`",
            _documents(),
        )
    ):
        assert name in example or hasattr(settings, name), name


# Code of the documentation


def _tabs() -> list[tuple[str, str]]:
    return [
        (tab["language"], tab["code"]) for chapter in docs.CHAPTERS for article in chapter["articles"]
        for kind, value in article["body"] if kind == "code" for tab in value["tabs"]
    ]  # fmt: skip


@pytest.mark.parametrize(("language", "code"), _tabs())
def test_code_can_be_read(language: str, code: str, tmp_path: Path) -> None:
    """By its own language; `tests/clients/test_docs_code.py` runs what asks the model."""
    code = code.replace("{base_url}", "http://localhost:8000/v1").replace(
        "{site}", "http://localhost:8000"
    )
    if language == "python" and not code.startswith("pip "):
        ast.parse(code)
    elif language == "json":
        json.loads(code)
    elif language == "shell":
        subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    elif language == "javascript" and not code.startswith("npm "):
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        file = tmp_path / "code.mjs"
        file.write_text(code)
        subprocess.run(
            ["node", "--check", file.name], cwd=tmp_path, check=True, capture_output=True
        )
