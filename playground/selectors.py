"""Reads for the playground's pages."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.templatetags.static import static

from inference import selectors as inference
from inference.images import ACCEPTED
from inference.models import Job, Variant
from inference.world.samples import SAMPLES, Sample

SUGGESTIONS = {
    "query": ["How many shapes are there?", "What color is the star?", "What does the sign say?",
              "Is there a red circle?", "Where is the blue square?", "How many gaps are there?",
              "Does the part pass inspection?", "Is there a nodule?"],
    "detect": ["red circle", "stars", "blue shapes", "sign", "gaps", "scratch", "nodules"],
    "point": ["green square", "hearts", "shapes", "missing screw"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkillTab:
    """One tab: what it is called, and what its field asks for."""

    slug: str
    label: str
    field: str
    prompt_label: str
    suggestions: list[str]


SKILLS = (
    SkillTab("caption", "Caption", "length", "Length", []),
    SkillTab("query", "Query", "question", "Question", SUGGESTIONS["query"]),
    SkillTab("detect", "Detect", "object", "What to find", SUGGESTIONS["detect"]),
    SkillTab("point", "Point", "object", "What to point at", SUGGESTIONS["point"]),
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
    """Addresses of what the model in the browser is made of, by the names its worker knows."""


_BROWSER_FILES = {
    "worker": "js/browser-model/worker.js",
    "ort": "vendor/onnxruntime-web-1.30.0/ort.wasm.min.mjs",
    "ortLoader": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.mjs",
    "ortWasm": "vendor/onnxruntime-web-1.30.0/ort-wasm-simd-threaded.wasm",
    "encoder": "models/encoder.onnx",
    "decoder": "models/decoder.onnx",
    "tokenizer": "models/tokenizer.json",
    "facts": "models/browser.json",
}


def playground() -> Playground:
    """Variants (one query) and the fixed parts."""
    variants = inference.variants_available()
    return Playground(
        variants,
        [SampleCard(s, static(f"samples/{s.file_name}")) for s in SAMPLES],
        SKILLS,
        variants[0].world if variants else "",
        ACCEPTED,
        json.dumps({name: static(file) for name, file in _BROWSER_FILES.items()}),
    )


def answer(job_id: UUID) -> dict[str, Any]:
    """A job as a plain page shows it.

    Raises:
        NotFound: no such job.
    """
    job = inference.job_get(job_id)
    result = job.result or {}
    asked = job.params.get("question") or job.params.get("object") or job.params.get("length", "")
    return {
        "job": job,
        "asked": asked,
        "text": result.get("answer") or result.get("caption") or "",
        "regions": result.get("objects") or result.get("points") or [],
        "running": not job.is_finished,
        "failed": job.status == Job.Status.FAILED,
    }
