"""`manage.py export_browser`: the embedded model as ONNX, for visitors' browsers."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Write encoder.onnx, decoder.onnx, tokenizer.json and browser.json."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, default=settings.INFERENCE_MODEL_DIR)
        parser.add_argument(
            "--out", type=Path, default=settings.BASE_DIR / "inference" / "weights" / "browser"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise CommandError("Needs onnx and onnxscript: see requirements/dev.txt.") from error
        from inference.engine import Moondream
        from inference.engine.onnx_export import export

        export(Moondream.from_pretrained(options["folder"], dtype="float32"), options["out"])
        for file in sorted(options["out"].iterdir()):
            self.stdout.write(f"{file.name}  {file.stat().st_size / 1e6:.1f} MB")
