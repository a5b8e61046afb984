"""`manage.py write_report SCORES`: the technical report on the embedded model, as a PDF of its scores.

SCORES is what `python -m bench.embedded --json SCORES` wrote. The PDF and the pages its sections
begin on are kept beside the template; the starter content publishes them.
"""

import json
import unicodedata
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template import engines
from django.utils import timezone

FOLDER = Path(__file__).parents[2] / "starter" / "report"
SECTIONS = {
    "architecture": ("Architecture", "Moondream2's form at a small size: 100 image tokens as a prefix, a decoder that reads on, heads of their own for coordinates."),
    "world": ("The drawn world", "Four kinds of scenes, decided first and drawn second, so that every reference is exact."),
    "training": ("Training", "The encoder first, then everything behind one prefix; what made the difference on a small budget."),
    "confidence": ("Confidence", "The geometric mean of the probabilities of what was chosen: how sure the model was, not how likely it is right."),
    "results": ("Results", "Scores by kind of scene, by category and by precision."),
    "limits": ("Limits", "It knows what is drawn here and nothing else."),
}  # fmt: skip


class Command(BaseCommand):
    help = "Write the technical report's PDF from a file of scores (needs Chromium)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scores", type=Path)
        parser.add_argument("--minutes", type=int, required=True, help="Of the training.")
        parser.add_argument("--scenes", type=int, required=True, help="Held out, of each kind.")
        parser.add_argument("--chromium", default="chromium")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from playwright.sync_api import sync_playwright
            from pypdf import PdfReader
        except ImportError as error:
            raise CommandError("This needs playwright and pypdf.") from error
        facts = report(json.loads(options["scores"].read_text()), options)
        template = engines["django"].from_string((FOLDER / "report.html").read_text())
        file = FOLDER / "embedded-model.pdf"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=options["chromium"], args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.set_content(template.render(facts))
            page.pdf(path=file, prefer_css_page_size=True, tagged=True)
            browser.close()
        pages = [p.extract_text() for p in PdfReader(file).pages]
        about = {
            "abstract": facts["abstract"], "published_on": facts["day"],
            "sections": sections_of(pages),
        }  # fmt: skip
        (FOLDER / "report.json").write_text(json.dumps(about, indent=1) + "\n")
        self.stdout.write(f"Wrote {file}, {len(pages)} pages.")


def sections_of(pages: list[str]) -> list[dict[str, Any]]:
    """The sections with the page each begins on, from the text of the pages."""
    # Ligatures come out of a PDF as one character: "Conﬁdence".
    plain = [unicodedata.normalize("NFKC", page) for page in pages]
    return [
        {
            "anchor": anchor, "title": title, "text": f"<p>{text}</p>",
            "page": next(n for n, p in enumerate(plain, 1) if f"{number}. {title}" in p),
        }
        for number, (anchor, (title, text)) in enumerate(SECTIONS.items(), 1)
    ]  # fmt: skip


def report(scores: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """What the template shows, from the scores by variant."""
    from inference.world.train import PHASES

    labels = {"half": "bf16", "int8": "8-bit", "nf4": "4-bit"}
    names = [n for n in labels if n in scores]
    half = scores[names[0]]
    titles = {"shapes": "Shapes and signs", "shelf": "Retail shelf", "plate": "Inspected plate",
              "phantom": "Phantom"}  # fmt: skip
    rows = [["All questions", *(f"{scores[n]['vqa']:.1%}" for n in names)]]
    rows += [
        [f"{title}, questions", *(f"{scores[n]['vqa_by_domain'][key]:.1%}" for n in names)]
        for key, title in titles.items()
    ]
    rows += [
        [f"{title}, detection", *(f"{scores[n]['detect_f1_by_domain'][key]:.3f}" for n in names)]
        for key, title in titles.items()
    ]
    rows.append(["Point error, mean", *(f"{scores[n]['point_error_mean']:.1%}" for n in names)])
    rows.append(
        ["Weights in memory, MB", *(f"{scores[n]['weight_bytes'] / 1e6:.1f}" for n in names)]
    )
    today = timezone.now().date()
    abstract = (
        "We describe the embedded model of this site: a network of Moondream2's architecture with "
        f"{half['weight_bytes'] / 2e6:.1f} million parameters, trained from nothing on drawn scenes with exact "
        f"references on two CPU cores. On held-out scenes it answers {half['vqa']:.1%} of questions exactly: "
        + ", ".join(f"{half['vqa_by_domain'][k]:.1%} on {t.lower()}" for k, t in titles.items())
        + f". Detection reaches an F1 of {half['detect_f1']:.3f} at an IoU of 0.5. We say what made it learn on a "
        "small budget, what its confidence means, and where it fails: everywhere outside its drawn world."
    )
    return {
        "date": f"{today:%-d %B %Y}", "day": today.isoformat(), "abstract": abstract,
        "parameters": f"{half['weight_bytes'] / 2e6:.1f}",
        "encoder_steps": f"{PHASES[0].steps:,}", "joint_steps": f"{PHASES[1].steps:,}",
        "minutes": options["minutes"], "scenes": options["scenes"],
        "questions": f"{half['vqa_questions']:,}", "precisions": [labels[n] for n in names],
        "rows": rows, "kinds": [(k.capitalize(), f"{v:.1%}") for k, v in half["vqa_by_kind"].items()],
    }  # fmt: skip
