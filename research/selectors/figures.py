"""Figures of the model's own answers."""

from dataclasses import dataclass, field

from django.templatetags.static import static

from inference.selectors import answer_text
from inference.world.samples import SAMPLES, sample_answers


@dataclass(frozen=True, slots=True)
class AnswerFigure:
    """A sample image with what the model answered about it, and who computed that when."""

    image_url: str
    width: int
    height: int
    alt: str
    caption: str
    question: str = ""
    answer: str = ""
    boxes: list[dict[str, float]] = field(default_factory=list)
    prompt: str = ""


def answer_figure(slug: str, skill: str) -> AnswerFigure | None:
    """The figure of a sample and a skill; None where the model was not run on it."""
    sample = next((s for s in SAMPLES if s.slug == slug), None)
    record = sample_answers()["samples"].get(slug)
    if sample is None or record is None or skill not in record["answers"]:
        return None
    given = record["answers"][skill]
    boxes = [_on_grid(b) for b in given["result"].get("objects", given["result"].get("points", []))]
    text = answer_text(given["result"]) or "Nothing found."
    if boxes:
        count = len(boxes)
        text = f"{count} {'box' if skill == 'detect' else 'point'}{'es' if count > 1 and skill == 'detect' else 's' if count > 1 else ''}"
    return AnswerFigure(
        image_url=static(f"samples/{sample.file_name}"),
        width=record["width"],
        height=record["height"],
        alt=sample.alt,
        caption=f"{sample_answers()['model']}, computed on {sample_answers()['computed_on']}. The scene is drawn, and chosen.",
        question=f"{skill.capitalize()}: {given['prompt']}"
        if given["prompt"]
        else skill.capitalize(),
        answer=text,
        boxes=boxes,
        prompt=given["prompt"] or "",
    )


def _on_grid(region: dict[str, float]) -> dict[str, float]:
    """A box (or a point, as a small box) on a 1000 × 1000 grid."""
    if "x" in region:
        half = 0.012
        region = {
            "x_min": region["x"] - half, "x_max": region["x"] + half,
            "y_min": region["y"] - half, "y_max": region["y"] + half,
        }  # fmt: skip
    return {
        "x": round(region["x_min"] * 1000, 1),
        "y": round(region["y_min"] * 1000, 1),
        "width": round((region["x_max"] - region["x_min"]) * 1000, 1),
        "height": round((region["y_max"] - region["y_min"]) * 1000, 1),
    }
