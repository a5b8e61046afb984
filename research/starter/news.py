"""Releases, roadmap, datasets and a sample challenge that a new site starts with.

Figures are those of their sources (`source_url`); nothing here is invented. What only illustrates
is marked a sample.
"""

from datetime import date
from typing import Any

RELEASES: list[dict[str, Any]] = [
    {
        "slug": "moondream2-2025-06-21", "title": "Moondream2, 21 June 2025", "version": "2025-06-21",
        "published_on": date(2025, 6, 21), "model_revision": "2025-06-21",
        "source_url": "https://huggingface.co/vikhyatk/moondream2",
        "body": "<p>The makers report ScreenSpot F1 at IoU 0.5 up from 60.3 to 80.4, and text that streams 20 to 40 "
                "percent faster with a new tokenizer. Reported by the model card; not run here.</p>",
    },
    {
        "slug": "moondream2-2025-04-14", "title": "Moondream2, 14 April 2025", "version": "2025-04-14",
        "published_on": date(2025, 4, 14), "model_revision": "2025-04-14",
        "source_url": "https://huggingface.co/vikhyatk/moondream2",
        "body": "<p>The makers report ChartQA 77.5, TextVQA 76.3 and DocVQA 79.3. A 4-bit version of it followed, with a mean of "
                "74.5 against 74.9 over eight benchmarks, and 2.4 GB of memory at its peak against 4.2. "
                "Reported by the model card and the makers' blog; not run here.</p>",
        "paper": "qlora",
    },
    {
        "slug": "moondream2-2025-03-27", "title": "Moondream2, 27 March 2025", "version": "2025-03-27",
        "published_on": date(2025, 3, 27), "model_revision": "2025-03-27",
        "source_url": "https://huggingface.co/vikhyatk/moondream2",
        "body": "<p>The makers report CountBenchQA 86.4, OCRBench 61.2, and 51.2 on a cleaned COCO detection set, which is not "
                "the standard COCO AP. Reported by the model card; not run here.</p>",
    },
    {
        "slug": "moondream2-2025-01-09", "title": "Moondream2, 9 January 2025", "version": "2025-01-09",
        "published_on": date(2025, 1, 9), "model_revision": "2025-01-09",
        "source_url": "https://docs.moondream.ai/specifications",
        "body": "<p>The makers report ChartQA 73.2, TextVQA 73.4, DocVQA 76.6, CountBenchQA 80.0, TallyQA 82.6 and 76.5, and POPE "
                "92.4, 90.3 and 87.2. Reported by their documentation; not run here.</p>",
        "paper": "pope",
    },
]  # fmt: skip

ROADMAP: list[dict[str, Any]] = [
    {"slug": "playground", "picture": "playground", "title": "Playground", "stage": "production", "research_on": date(2026, 11, 23),
     "alpha_on": date(2026, 11, 23), "production_on": date(2026, 11, 24),
     "lede": "Ask an image without signing up; see latency and confidence."},
    {"slug": "browser", "picture": "browser", "title": "The model in your browser", "stage": "alpha", "research_on": date(2026, 11, 23),
     "alpha_on": date(2026, 11, 24),
     "lede": "The embedded model runs in the page, by WebGPU or WebAssembly."},
    {"slug": "official-checkpoints", "picture": "levels", "title": "Official checkpoints", "stage": "alpha",
     "research_on": date(2026, 11, 23), "alpha_on": date(2026, 11, 24),
     "lede": "Moondream2 at 16, 8 and 4 bits on the same engine."},
    {"slug": "domains", "picture": "scenes", "title": "Shelf, plate and phantom", "stage": "alpha",
     "research_on": date(2026, 11, 24), "alpha_on": date(2026, 11, 24),
     "lede": "The drawn world shows three fields of use, and the embedded weights know them."},
    {"slug": "leaderboards", "picture": "leaderboards", "title": "Leaderboards that score", "stage": "alpha",
     "research_on": date(2026, 11, 24), "alpha_on": date(2026, 11, 24),
     "lede": "Predictions in, scores with intervals out, against references nobody outside can see."},
    {"slug": "rewards", "picture": "rewards", "title": "Tuning with your own rewards", "stage": "research",
     "research_on": date(2026, 11, 24),
     "lede": "Weigh reward terms, look at rollouts, train an adapter."},
]  # fmt: skip

DATASETS: list[dict[str, Any]] = [
    {
        "slug": "drawn-world", "title": "Drawn world, development split", "published_on": date(2026, 11, 24),
        "licence": "Apache-2.0", "tags": ["captioning", "questions", "detection"],
        "lede": "Scenes of four kinds with exact captions, questions, boxes and points, made by this project's own generator.",
        "card": "<p>Scenes of shapes and signs, retail shelves, inspected plates and radiology-style phantoms, with "
                "every reference exact because the scene was decided before it was drawn. Each line of "
                "<code>scenes.jsonl</code> holds one image's captions in three lengths, its questions with answers, and its "
                "objects with boxes.</p><p>It is drawn: a score on it says nothing about photographs, parts or patients. The "
                "product pictures are Noto Emoji, under the SIL Open Font License.</p>",
    },
    {
        "slug": "coco-val2017", "title": "COCO 2017, validation", "published_on": date(2017, 9, 1),
        "items": 5000, "licence": "CC-BY-4.0", "home_url": "https://cocodataset.org/",
        "tags": ["captioning", "detection"],
        "lede": "Photographs of everyday scenes with five captions and object boxes each; the usual yardstick of captioning.",
        "card": "<p>The licence is that of the annotations; each photograph has its own, by its owner on Flickr. Download it "
                "where it is published.</p>",
    },
    {
        "slug": "vqa-v2", "title": "VQA v2", "published_on": date(2017, 4, 26), "items": 204721,
        "licence": "CC-BY-4.0", "home_url": "https://visualqa.org/", "tags": ["questions"],
        "lede": "Balanced questions about COCO images with ten people's answers each.",
        "card": "<p>The licence is that of the annotations. See the paper on why the pairs are balanced.</p>",
    },
]  # fmt: skip

CHALLENGES: list[dict[str, Any]] = [
    {
        "slug": "count-the-shelf", "title": "Count the shelf", "is_sample": True, "tags": ["counting"],
        "on": "world-counting", "days": (7, 21), "prize": "",
        "lede": "How few parameters does it take to count what stands on a drawn shelf, on a plate, in a phantom? A sample of a challenge: it works, and there is nothing to win.",
        "rules": "<ul><li>Join with your team; a person is in one team.</li>"
                 "<li>Any model, any training data but the hidden split.</li>"
                 "<li>The first phase is for practice on the public split. In the second predictions for the hidden split are scored here; two days before the end the standings freeze.</li>"
                 "<li>In the end each team's best submission of the second phase is ranked, or the one it chose.</li>"
                 "<li>What the tests cannot tell apart shares a range of ranks.</li></ul>",
    },
]  # fmt: skip
"""`days` are those of the two phases, from the day of installation."""
