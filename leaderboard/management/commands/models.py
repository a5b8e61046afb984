"""`manage.py models`: the models of this installation."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference import selectors, services
from inference.adapters import Asker
from inference.errors import DomainError
from inference.models import RemoteServer, Variant, VariantMeasurement
from inference.remote import probe
from leaderboard import selectors as leaderboard

PRECISION_NAMES = {"16": "", "8": "int8", "4": "nf4"}


class Command(BaseCommand):
    help = "Add, fetch, list and measure models."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="Register a checkpoint that is on this machine.")
        add.add_argument("path", type=Path, help="A folder, or one safetensors file.")
        add.add_argument("--name", default="moondream2")
        add.add_argument("--revision", required=True, help="Its release, as in 2025-06-21.")
        add.add_argument("--licence", default="")
        add.add_argument("--tokenizer", type=Path, help="tokenizer.json of the same revision.")
        pull = actions.add_parser("pull", help="Fetch a published checkpoint and register it.")
        pull.add_argument("name", help="moondream2, or a repository of the hub.")
        pull.add_argument("--revision", default="", help="Its newest known one if none.")
        use = actions.add_parser(
            "use", help="Fetch a model or add a folder's, and let it answer by default."
        )
        use.add_argument("model", help="moondream2, a repository of the hub, or a folder.")
        use.add_argument("--revision", default="")
        use.add_argument(
            "--precision", choices=["auto", *PRECISION_NAMES], default="auto",
            help="auto: the best that fits this machine.",
        )  # fmt: skip
        remote = actions.add_parser("remote", help="Make another server of this API a variant.")
        remote.add_argument("address", help="Where its API begins, as in http://localhost:2020/v1.")
        remote.add_argument("--name", default="Remote model", help="What its variant is called.")
        remote.add_argument("--model", default="", help="Which of its models; its default if none.")
        remote.add_argument("--pin", default="", help="The one revision it may have.")
        remote.add_argument(
            "--key-from", default="", metavar="VARIABLE",
            help="The environment variable that holds its key: arguments stand in lists of processes.",
        )  # fmt: skip
        actions.add_parser("list", help="What is registered.")
        save = actions.add_parser("save", help="Write a quantised variant's weights to a folder.")
        save.add_argument("slug")
        save.add_argument("folder", type=Path)
        threads = actions.add_parser("threads", help="Find the best INFERENCE_THREADS here.")
        threads.add_argument("slug", nargs="?", default="", help="The default variant if none.")
        threads.add_argument("--most", type=int, default=os.cpu_count() or 1)
        report = actions.add_parser("report", help="Measure variants on this machine.")
        report.add_argument(
            "slugs",
            nargs="*",
            help="Variants, or tuned models as base/finetune@step; all variants by default.",
        )
        report.add_argument(
            "--scenes", type=int, default=25, help="Held-out scenes of each kind to score."
        )
        report.add_argument(
            "--missing", action="store_true",
            help="Only local variants without a measurement, at a low priority.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error

    def _add(self, options: dict[str, Any]) -> None:
        made = services.model_add(
            source=options["path"], name=options["name"], revision=options["revision"],
            licence=options["licence"], tokenizer=options["tokenizer"],
        )  # fmt: skip
        self._registered(made)

    def _pull(self, options: dict[str, Any]) -> None:
        self._registered(
            services.model_pull(
                name=options["name"], revision=options["revision"], say=self.stdout.write
            )
        )

    def _use(self, options: dict[str, Any]) -> None:
        services.model_use(
            model=options["model"], revision=options["revision"], say=self._say,
            precision=PRECISION_NAMES.get(options["precision"]),
        )  # fmt: skip

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()  # before the bars of what is fetched

    def _remote(self, options: dict[str, Any]) -> None:
        link = services.link_read(
            address=options["address"], key=os.environ.get(options["key_from"], ""),
            model=options["model"], pinned=options["pin"],
        )  # fmt: skip
        server = RemoteServer.objects.filter(name=options["name"]).first()
        made = services.remote_save(
            server=server or RemoteServer(name=options["name"]), link=link, found=probe(link)
        )
        lacks = f", without {', '.join(made.lacks)}" if made.lacks else ""
        self.stdout.write(
            f"{made.slug}  {made.model_name or 'its default'}  {made.revision}{lacks}"
        )

    def _registered(self, made: list[Variant]) -> None:
        for variant in made:
            self.stdout.write(f"{variant.slug}  sha256 {variant.sha256[:12]}  {variant.folder}")

    def _save(self, options: dict[str, Any]) -> None:
        from inference.engine.checkpoint import save_quantised
        from inference.engine.manifest import CheckpointError

        variant = selectors.variant_get(options["slug"])
        if not variant.quantization:
            raise CommandError(f"{variant.slug} is not quantised: its folder is {variant.folder}.")
        try:
            save_quantised(variant.folder, options["folder"], variant.quantization)  # type: ignore[arg-type]
        except CheckpointError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Wrote {options['folder']}.")

    def _threads(self, options: dict[str, Any]) -> None:
        from inference.engine.measuring import measure

        variant = selectors.variant_get(options["slug"])
        waits = {}
        for count in range(1, options["most"] + 1):
            cost = measure(variant.folder, variant.quantization, threads=count)
            waits[count] = cost.encode_ms + cost.first_token_ms
            self.stdout.write(
                f"{count:3} threads: {waits[count]:7.1f} ms to the first token of a new image, "
                f"{cost.tokens_per_s:6.0f} tokens/s"
            )
        # A thread that gains less than a tenth is worth more to the web server.
        best = next(n for n in waits if waits[n] <= 1.1 * min(waits.values()))
        self.stdout.write(f"INFERENCE_THREADS={best}")

    def _list(self, options: dict[str, Any]) -> None:
        for v in selectors.variants_available():
            default = " (default)" if v.is_default else ""
            self.stdout.write(f"{v.slug}{default}  {v.revision}  {v.licence}  {v.source}")

    def _report(self, options: dict[str, Any]) -> None:
        from tqdm import tqdm

        from leaderboard.world_scores import variant_scores

        site = Asker(is_site=True)
        chosen = (
            [selectors.model_get(slug, site) for slug in options["slugs"]]
            or [(v, "") for v in selectors.variants_available() if v.folder]
        )  # fmt: skip
        elsewhere = [v.slug for v, _ in chosen if not v.folder]
        if elsewhere:
            raise CommandError(f"{', '.join(elsewhere)} has no weights here to measure.")
        if options["missing"]:
            os.nice(15)  # the worker that answers visitors comes first
            measured = {m.variant_id for m in selectors.latest_measurements()}
            chosen = [(v, adapter) for v, adapter in chosen if v.pk not in measured]
        rows = [
            services.variant_measure(
                variant=variant,
                adapter=adapter,
                scores=variant_scores(options["scenes"]) if options["scenes"] else None,
            )
            for variant, adapter in tqdm(chosen, unit="variant", disable=None)
        ]
        self._print(rows)

    def _print(self, rows: list[VariantMeasurement]) -> None:
        lines: list[tuple[str, list[str]]] = [
            ("variant", [r.model_name.removeprefix("moondream-") for r in rows]),
            ("dtype", [r.dtype for r in rows]),
            ("weights, MB", [f"{r.weight_bytes / 1e6:.1f}" for r in rows]),
            ("peak memory, MB", [f"{r.peak_bytes / 1e6:.0f}" for r in rows]),
            ("load, ms", [f"{r.load_ms:.0f}" for r in rows]),
            ("encode, ms", [f"{r.encode_ms:.1f}" for r in rows]),
            ("first token, ms", [f"{r.first_token_ms:.1f}" for r in rows]),
            ("tokens/s", [f"{r.tokens_per_s:.0f}" for r in rows]),
            ("VQA", [f"{r.scores['vqa']:.3f}" if r.scores else "-" for r in rows]),
            ("detect F1", [f"{r.scores['detect_f1']:.3f}" if r.scores else "-" for r in rows]),
            (
                "point error",
                [f"{r.scores['point_error_mean']:.3f}" if r.scores else "-" for r in rows],
            ),
        ]
        lines += [
            (name[:17], [figures.get(r.model_name, "-") for r in rows])
            for name, figures in leaderboard.by_model().items()
        ]
        widths = [max(18, len(cell) + 1) for cell in lines[0][1]]
        for name, cells in lines:
            fields = (f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
            self.stdout.write(f"{name:18}" + "".join(fields))
        if rows:
            self.stdout.write(f"Measured on {rows[0].hardware}, {rows[0].threads} used.")
