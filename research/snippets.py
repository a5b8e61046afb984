"""The quickstart's code. What a page shows is exactly what `tests/clients/test_snippets.py` runs."""

import json
from dataclasses import dataclass

from django.http import HttpRequest

SAMPLE, QUESTION = "night", "How many stars are there?"

_PYTHON = """\
import urllib.request

import moondream as md
from PIL import Image

urllib.request.urlretrieve("{site}/static/samples/night.webp", "night.webp")

model = md.vl(endpoint="{site}/v1")
image = Image.open("night.webp")
print(model.query(image, "How many stars are there?")["answer"])
"""
_JAVASCRIPT = """\
import { vl } from "moondream";

const image = Buffer.from(
  await (await fetch("{site}/static/samples/night.webp")).arrayBuffer(),
);

const model = new vl({ endpoint: "{site}/v1" });
const { answer } = await model.query({ image, question: "How many stars are there?" });
console.log(answer);
"""
_SHELL = """\
curl -sO {site}/static/samples/night.webp

curl -s --retry 5 {site}/v1/query -H "Content-Type: application/json" -d @- <<JSON
{"image_url": "data:image/webp;base64,$(base64 < night.webp | tr -d '\\n')",
 "question": "How many stars are there?"}
JSON
"""


def address_of(request: HttpRequest | None) -> str:
    """ "https://host" of this site as its reader sees it; a preview has no request."""
    return f"{request.scheme}://{request.get_host()}" if request else "http://localhost:8000"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One tab."""

    language: str
    label: str
    code: str


@dataclass(frozen=True, slots=True)
class Quickstart:
    """The tabs, and what Run asks."""

    snippets: list[Snippet]
    sample: str
    question: str

    @property
    def run_json(self) -> str:
        """For the page's script."""
        return json.dumps({"sample": self.sample, "question": self.question})


def quickstart(site: str) -> Quickstart:
    """The three snippets against a site ("https://host", without a slash at the end)."""
    parts = (
        ("python", "Python", _PYTHON), ("javascript", "JavaScript", _JAVASCRIPT),
        ("shell", "cURL", _SHELL),
    )  # fmt: skip
    return Quickstart(
        [Snippet(lang, label, code.replace("{site}", site)) for lang, label, code in parts],
        SAMPLE,
        QUESTION,
    )
