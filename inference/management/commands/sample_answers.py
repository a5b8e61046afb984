"""`manage.py sample_answers`: run the model on the samples and keep what it really said."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone
from PIL import Image

from inference.world.samples import SAMPLE_DIR, SAMPLES


class Command(BaseCommand):
    help = "Answer every sample's prompts with the embedded model; pages show these answers."

    def handle(self, *args: Any, **options: Any) -> None:
        from inference.engine import Moondream

        model = Moondream.from_pretrained(settings.INFERENCE_MODEL_DIR, dtype="float32")
        samples = {}
        for sample in SAMPLES:
            with Image.open(SAMPLE_DIR / sample.file_name) as image:
                encoded = model.encode_image(image.convert("RGB"))
                width, height = image.size
            prompts = {"caption": "", **sample.prompts}
            answers = {
                skill: {
                    "prompt": prompt,
                    "result": model.caption(encoded)
                    if skill == "caption"
                    else getattr(model, skill)(encoded, prompt),
                }
                for skill, prompt in prompts.items()
            }
            captions = {n: model.caption(encoded, n)["caption"] for n in ("short", "long")}
            samples[sample.slug] = {
                "width": width, "height": height, "answers": answers, "captions": captions,
            }  # fmt: skip
        info = model.info
        record = {
            "model": f"{info['name']} {info['revision']}",
            "computed_on": timezone.now().date().isoformat(),
            "samples": samples,
        }
        file = SAMPLE_DIR / "answers.json"
        file.write_text(json.dumps(record, indent=1) + "\n")
        self.stdout.write(f"Wrote {file}.")
