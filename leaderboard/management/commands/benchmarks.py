"""`manage.py benchmarks`: what is measured, with what, and our own runs over it."""

import time
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from inference import selectors as inference
from inference.adapters import Asker
from inference.errors import DomainError
from leaderboard import importers, services
from leaderboard.models import Benchmark, Run, Split


class Command(BaseCommand):
    help = "List, import, run and re-score benchmarks."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="Benchmarks with their splits and entries.")
        run = actions.add_parser("run", help="Run our variants; goes on where a run stopped.")
        run.add_argument("slugs", nargs="*", help="Benchmarks; all by default.")
        run.add_argument(
            "--variants", nargs="*", default=[], help="Or tuned models, as base/finetune@step."
        )
        run.add_argument(
            "--start", action="store_true", help="Only start: a worker goes on with it."
        )
        run.add_argument("--measure", action="store_true", help="First measure variants' cost.")
        score = actions.add_parser(
            "rescore", help="Score all anew, in the shadow of what is shown."
        )
        score.add_argument("slug")
        score.add_argument("--publish", action="store_true", help="Show the new scores.")
        load = actions.add_parser("import", help="Make a split from published files.")
        load.add_argument("format", choices=importers.FORMATS)
        load.add_argument("slug")
        load.add_argument("--annotations", type=Path, required=True)
        load.add_argument("--questions", type=Path, help="VQAv2's second file.")
        load.add_argument("--images", type=Path, help="The folder with the images.")
        load.add_argument("--split", default="test")
        load.add_argument("--title", default="")
        load.add_argument("--licence", default="see its source")
        load.add_argument("--source", default="")
        load.add_argument("--public", action="store_true", help="References can be downloaded.")
        load.add_argument("--limit", type=int, help="Only so many items.")
        actions.add_parser("reseal", help="Seal all references with the newest key.")
        rotate = actions.add_parser("rotate", help="Draw the world's hidden splits anew.")
        rotate.add_argument("slugs", nargs="*", help="Benchmarks; all of the world's by default.")
        rotate.add_argument("--scenes", type=int, default=25, help="Of each domain.")
        public = actions.add_parser(
            "publish", help="Make a hidden split's references public, for good."
        )
        public.add_argument("split", help="As benchmark/split.")
        public.add_argument("--confirm", default="", help="The same once more.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except DomainError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from error

    def _list(self, options: dict[str, Any]) -> None:
        for benchmark in Benchmark.objects.prefetch_related("splits"):
            splits = ", ".join(f"{s.name} {s.item_count}" for s in benchmark.splits.all())
            self.stdout.write(
                f"{benchmark.slug}  {benchmark.task}  {splits}  {benchmark.entries.count()} entries"
            )

    def _run(self, options: dict[str, Any]) -> None:
        if options["measure"]:
            call_command("models", "report", "--missing")
        runs = self._chosen(options)
        if options["start"]:
            self.stdout.write(f"{len(runs)} runs are under way.")
            return
        for run in runs:
            self._follow(run)

    def _chosen(self, options: dict[str, Any]) -> list[Run]:
        if not options["slugs"] and not options["variants"]:
            return services.runs_start() or list(Run.objects.filter(status=Run.Status.RUNNING))
        splits = Split.objects.select_related("benchmark").order_by("-ranks", "benchmark__position")
        if options["slugs"]:
            splits = splits.filter(benchmark__slug__in=options["slugs"])
        site = Asker(is_site=True)
        models = [inference.model_get(name, site) for name in options["variants"]]
        models = models or [(variant, "") for variant in inference.variants_available()]
        return [
            services.run_start(split=split, variant=variant, adapter=adapter)
            for variant, adapter in models if variant.folder for split in splits
        ]  # fmt: skip

    def _follow(self, run: Run) -> None:
        total = run.split.item_count
        name = f"{run.split.benchmark.slug}/{run.split.name} {run.model_name}"
        with tqdm(total=total, unit="item", desc=name, disable=None) as bar:
            while run.status == Run.Status.RUNNING:
                run = services.run_advance(run_id=run.pk)
                run.refresh_from_db()
                done = run.answers.count()
                if done == bar.n and run.status == Run.Status.RUNNING:
                    time.sleep(0.5)  # a worker is answering
                bar.update(done - bar.n)
        self.stdout.write(f"{name}: {run.status} {run.error}".strip())

    def _rescore(self, options: dict[str, Any]) -> None:
        benchmark = Benchmark.objects.filter(slug=options["slug"]).first()
        if benchmark is None:
            raise CommandError(f"There is no benchmark {options['slug']!r}.")
        found = services.rescore(benchmark=benchmark, publish=options["publish"])
        for change in found.changes:
            old = "-" if change.old is None else f"{change.old:.6f}"
            self.stdout.write(
                f"{change.submission.model_name}  {change.metric}  {old} -> {change.new:.6f}"
            )
        for move in found.moves:
            self.stdout.write(
                f"{move.submission.model_name}  rank {move.old or '-'} -> {move.new or '-'}"
            )
        self.stdout.write(
            f"{len(found.changes)} figures and {len(found.moves)} ranks differ; "
            f"{'shown as soon as a worker has made the tables' if options['publish'] else 'nothing shown has changed'}."
        )

    def _import(self, options: dict[str, Any]) -> None:
        task, metric, items = importers.read(
            options["format"], options["annotations"], questions=options["questions"],
            images=options["images"], limit=options["limit"],
        )  # fmt: skip
        benchmark = services.benchmark_make(
            slug=options["slug"], title=options["title"] or options["slug"], task=task,
            primary_metric=metric, summary=f"Imported from {options['format']} files.",
            licence=options["licence"], source=options["source"] or options["format"],
        )  # fmt: skip
        split = services.split_import(
            benchmark=benchmark, name=options["split"], items=items, is_public=options["public"],
            ranks=not options["public"], daily_limit=None if options["public"] else 5,
            total_limit=None if options["public"] else services.total_limit(len(items)),
        )  # fmt: skip
        services.tables_stale(benchmarks=[benchmark.pk])  # with what others report of it
        self.stdout.write(
            f"{benchmark.slug}/{split.name}: {split.item_count} items, data {split.data_hash[:12]}"
        )

    def _reseal(self, options: dict[str, Any]) -> None:
        failed = 0
        for one in services.references_reseal():
            name = f"{one.split.benchmark.slug}/{one.split.name}"
            failed += bool(one.problem)
            state = one.problem or f"key {one.key_id or '-'}{'' if one.is_new else ', as before'}"
            self.stdout.write(f"{name}: {state}")
        if failed:
            raise CommandError(f"{failed} could not be opened; all others are done.")

    def _rotate(self, options: dict[str, Any]) -> None:
        slugs = options["slugs"] or [row[0] for row in services.WORLD]
        refused = 0
        for benchmark in Benchmark.objects.filter(slug__in=slugs):
            try:
                split = services.world_rotate(benchmark=benchmark, scenes=options["scenes"])
            except DomainError as error:
                refused += 1
                self.stdout.write(f"{benchmark.slug}: {error.message}")
            else:
                self.stdout.write(f"{benchmark.slug}/{split.name}: {split.item_count} new items")
        if refused:
            raise CommandError(f"{refused} not drawn anew.")

    def _publish(self, options: dict[str, Any]) -> None:
        slug, _, name = options["split"].partition("/")
        split = Split.objects.filter(benchmark__slug=slug, name=name).first()
        if split is None:
            raise CommandError(f"There is no split {options['split']!r}.")
        if not options["confirm"]:
            raise CommandError(
                f"The {split.item_count} references of {options['split']} would be public for good. "
                f"Repeat with --confirm {options['split']}."
            )
        services.split_publish(split=split, by=None, confirm=options["confirm"])
        self.stdout.write(f"The references of {options['split']} are public.")
