"""`manage.py train_embedded`: train the embedded model from nothing, or go on where it stopped."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Train the embedded model on the world (seeded, resumable, logged) and write its folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, default=settings.VAR_DIR / "train" / "embedded")
        parser.add_argument("--out", type=Path, default=settings.INFERENCE_MODEL_DIR)
        parser.add_argument("--revision", default="local")
        parser.add_argument("--seed", type=int)
        parser.add_argument("--steps", type=int, help="Fewer steps in all, for a trial.")
        parser.add_argument("--batch", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        from tqdm import tqdm

        from inference.world.train import Plan, Trainer

        chosen = {"seed": options["seed"], "batch": options["batch"]}
        plan = Plan(**{k: v for k, v in chosen.items() if v is not None})
        if options["steps"]:
            plan = plan.shortened(options["steps"])
        trainer = Trainer(options["folder"], plan)
        every = min(50, plan.steps)
        log_file = options["folder"] / "log.jsonl"
        with (
            log_file.open("a", buffering=1) as log,
            tqdm(total=plan.steps, initial=trainer.step, unit="step") as bar,
        ):

            def report(figures: dict[str, Any]) -> None:
                log.write(json.dumps(figures) + "\n")
                bar.n = figures["step"]
                bar.set_postfix(loss=f"{figures['loss']:.2f}")

            trainer.train(report, every=every)
        trainer.export(options["out"], options["revision"])
        self.stdout.write(f"Wrote {options['out']}; run `python -m bench.embedded` for its scores.")
