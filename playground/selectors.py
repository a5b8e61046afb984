"""Reads for the playground's pages."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.urls import reverse

from inference import selectors as inference
from inference.adapters import Asker
from inference.images import ACCEPTED
from inference.models import Job, Variant
from inference.tuning.named import listed
from inference.world.samples import SAMPLES, Sample
from leaderboard import errors as leaderboard_errors
from leaderboard import selectors as leaderboard

SHAPES = ("night", "moon", "number", "greens", "crosses", "triangles")
"""Samples of drawn shapes."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prompt to try, and the samples that it fits: where the embedded model answers it rightly. The
    first is brought along when another sample is shown."""

    text: str
    samples: tuple[str, ...]

    @property
    def fits(self) -> str:
        """The samples, for an attribute."""
        return " ".join(self.samples)


SUGGESTIONS = {
    "query": [
        Suggestion("How many shapes are there?", SHAPES[:5]),
        Suggestion("What color is the star?", ("crosses", "greens", "triangles")),
        Suggestion("What does the sign say?", ("moon", "number")),
        Suggestion("Is there a red circle?", SHAPES),
        Suggestion("Where is the blue square?", ("triangles",)),
        Suggestion("How many gaps are there?", ("shelf",)),
        Suggestion("Does the part pass inspection?", ("plate",)),
        Suggestion("Is there a nodule?", ("phantom",)),
    ],
    "detect": [
        Suggestion("stars", ("night", "triangles", "greens", "crosses")),
        Suggestion("blue shapes", ("night", "triangles", "number", "crosses")),
        Suggestion("crosses", ("crosses",)),
        Suggestion("sign", ("moon", "number")),
        Suggestion("gaps", ("shelf",)),
        Suggestion("scratch", ("plate",)),
        Suggestion("nodules", ("phantom",)),
    ],
    "point": [
        Suggestion("green square", ("greens", "number")),
        Suggestion("hearts", ("number", "night", "moon", "crosses")),
        Suggestion("shapes", ("triangles", "moon", "number", "crosses")),
        Suggestion("missing screw", ("plate",)),
    ],
}


@dataclass(frozen=True, slots=True)
class Hint:
    """How a skill is asked well, with an example that the embedded model answers rightly."""

    text: str
    prompt: str
    sample: str


HINTS = {
    "caption": Hint("Short names what is there. Long adds where it is.", "long", "crosses"),
    "query": Hint("Ask one thing at a time, and name what you mean by colour or place.", "What does the sign say?", "moon"),
    "detect": Hint("Name things as one would point them out: a noun, and a colour where there are several. Every one gets a box.", "stars", "night"),
    "point": Hint("The same, for a point on each: good for counting, and for small things.", "hearts", "number"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkillTab:
    """One tab: what it is called, and what its field asks for."""

    slug: str
    label: str
    field: str
    prompt_label: str
    suggestions: list[Suggestion]
    hint: Hint


SKILLS = (
    SkillTab("caption", "Caption", "length", "Length", [], HINTS["caption"]),
    SkillTab("query", "Query", "question", "Question", SUGGESTIONS["query"], HINTS["query"]),
    SkillTab("detect", "Detect", "object", "What to find", SUGGESTIONS["detect"], HINTS["detect"]),
    SkillTab("point", "Point", "object", "What to point at", SUGGESTIONS["point"], HINTS["point"]),
)


@dataclass(frozen=True, slots=True)
class SampleCard:
    """A sample with its address."""

    sample: Sample
    url: str


@dataclass(frozen=True, slots=True)
class Playground:
    """What the panel needs."""

    variants: list[Variant]
    samples: list[SampleCard]
    skills: tuple[SkillTab, ...]
    world: str
    accepted: str
    browser_json: str
    """Addresses of what the model in the browser is made of, by the names its worker knows, and
    how many bytes that is on each backend."""
    prompts: list[leaderboard.PromptGroup]
    """What benchmarks ask, for the menu beside the box."""
    sessions_json: str
    """Where the script saves runs, and finds sessions and shared runs."""


_BROWSER_FILES = {
    "worker": "js/browser-model/worker.js",
    "ort": "vendor/onnxruntime-web-1.30.0/ort.wasm.min.mjs",
    "ortLoader": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.mjs",
    "ortWasm": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.wasm",
    "ortGpu": "vendor/onnxruntime-web-1.30.0/ort.jspi.min.mjs",
    "ortGpuLoader": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.jspi.mjs",
    "ortGpuWasm": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.jspi.wasm",
    "encoder": "models/encoder.onnx",
    "decoder": "models/decoder.onnx",
    "tokenizer": "models/tokenizer.json",
    "facts": "models/browser.json",
}
_BACKENDS = {
    "WebGPU": ("ortGpu", "ortGpuLoader", "ortGpuWasm"),
    "WebAssembly": ("ort", "ortLoader", "ortWasm"),
}
"""The runtime's part of the files on each backend; the rest is the model, loaded on both."""


@functools.cache
def browser_bytes() -> dict[str, int]:
    """How much a visitor's browser loads on each backend, before compression."""
    sizes = {
        part: Path(found).stat().st_size
        for part, file in _BROWSER_FILES.items()
        if (found := finders.find(file))
    }
    runtimes = {part for parts in _BACKENDS.values() for part in parts}
    model = sum(size for part, size in sizes.items() if part not in runtimes)
    return {
        backend: model + sum(sizes.get(part, 0) for part in parts)
        for backend, parts in _BACKENDS.items()
    }


def sample_cards() -> list[SampleCard]:
    """The drawn scenes that come with the site."""
    return [SampleCard(s, static(f"samples/{s.file_name}")) for s in SAMPLES]


@dataclass(frozen=True, slots=True)
class Example:
    """One click to a question that works, where a list is empty."""

    skill: str
    label: str
    hint: Hint
    url: str
    """Of its scene."""


def examples() -> list[Example]:
    """One of each skill."""
    urls = {card.sample.slug: card.url for card in sample_cards()}
    return [Example(tab.slug, tab.label, tab.hint, urls[tab.hint.sample]) for tab in SKILLS]


def playground() -> Playground:
    """Variants (one query), benchmarks' prompts (three), and the fixed parts."""
    variants = inference.variants_available()
    return Playground(
        variants,
        sample_cards(),
        SKILLS,
        variants[0].world if variants else "",
        ACCEPTED,
        json.dumps(
            {name: static(file) for name, file in _BROWSER_FILES.items()}
            | {"bytes": browser_bytes()}
        ),
        leaderboard.prompt_menu(),
        json.dumps({
            "save": reverse("playground:run_save"), "sessions": reverse("playground:sessions"),
            "shared": reverse("playground:index") + "shared/", "compare": reverse("playground:compare"),
        }),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A tuned model in the list of variants."""

    name: str
    title: str
    group: str


def tuned_models(asker: Asker, *, wanted: str = "") -> list[TunedModel]:
    """What a visitor may choose beside the variants, grouped under the base; at most two queries.

    Args:
        wanted: the one that an address names.
    """
    found = [
        TunedModel(
            model.name, model.title if model.is_own else f"{model.title} (published)",
            f"Tuned from {model.base}",
        )
        for model in listed(asker, wanted=wanted.replace("\x00", "")[:200])
    ]  # fmt: skip
    return sorted(found, key=lambda model: model.group)


def chosen_prompt(query: Mapping[str, str]) -> leaderboard.Prompt | None:
    """The prompt an address names: `from=<ref>` beside what was made of it, or `prompt=<ref>` alone.
    With a skill, `prompt` is the text itself.

    Raises:
        NotFound: it names one that is not there.
    """
    ref = query.get("from") or ("" if "skill" in query else query.get("prompt", ""))
    if not (ref.isdigit() or ref.count("/") >= 2):
        return None
    return leaderboard.prompt_get(ref)


def entered(prompt: leaderboard.Prompt) -> dict[str, str]:
    """A prompt as fields of the form."""
    tab = next(tab for tab in SKILLS if tab.slug == prompt.skill)
    return {"skill": prompt.skill, tab.field: prompt.text}


def compared(prompt: leaderboard.Prompt, job_id: UUID | None) -> leaderboard.Compared:
    """An item's reference, beside a finished job's answer where one is named.

    Raises:
        NotFound: no item, no such job, no answer, or an answer to something else.
    """
    if job_id is None:
        return leaderboard.reference_of(prompt)
    job = inference.job_get(job_id)
    if job.status != Job.Status.SUCCEEDED:
        raise leaderboard_errors.NOT_COMPARABLE("There is no answer to compare.")
    return leaderboard.reference_beside(
        prompt, skill=job.skill, asked=_asked(job), image_sha256=job.image_sha256,
        result=job.result or {},
    )  # fmt: skip


def _asked(job: Job) -> str:
    params = job.params
    asked: str = params.get("question") or params.get("object") or params.get("length", "")
    return asked


def answer(job_id: UUID) -> dict[str, Any]:
    """A job as a plain page shows it.

    Raises:
        NotFound: no such job.
    """
    job = inference.job_get(job_id)
    result = job.result or {}
    return {
        "job": job,
        "asked": _asked(job),
        "text": inference.answer_text(result),
        "regions": result.get("objects") or result.get("points") or [],
        "running": not job.is_finished,
        "failed": job.status == Job.Status.FAILED,
    }
