"""The form that starts a run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields as fields_of
from functools import cached_property
from typing import Any

from django import forms

from inference.engine.rewards import PRESETS as REWARDS
from inference.engine.rewards import RewardError, read
from inference.engine.rewards.reward import MAX_DOCUMENT
from inference.engine.tuning.defaults import BASES
from inference.engine.tuning.plan import COMBINATIONS, LAYERS, LOSSES, RANGES, RANKS, SCALINGS, Plan
from inference.models import Variant
from inference.tuning.models import TuningUpload
from inference.tuning.services import defaults_for
from inference.tuning.sources import MOST_EXAMPLES
from inference.world.domains import DOMAINS
from inference.world.presets import PRESETS
from leaderboard.models import Split
from playground.tuning.links import LINKS

OWN = "own"
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields_of(Plan)}
MAIN = ("steps", "groups", "group_size", "lr", "temperature", "rehearsal")
ADVANCED = (
    "warmup_steps", "rank", "layers", "max_tokens", "max_objects", "refills", "loss", "scaling", "combination",
    "clip_low", "clip_high", "beta", "kl_limit", "lr_warmup", "checkpoint_every", "seed",
)  # fmt: skip
_DATA_FIELDS = {
    "data": "source", "data.source": "source", "data.seed": "data_seed", "data.benchmark": "split",
}  # fmt: skip


def _number(name: str, label: str, about: str, step: str = "any") -> forms.Field:
    """A field of a plan's number; left empty it is the plan's default."""
    kind, low, high = RANGES[name]
    given: dict[str, Any] = {
        "label": label, "help_text": about, "required": False, "initial": _DEFAULTS[name],
        "min_value": low, "max_value": high,
    }  # fmt: skip
    if kind is int:
        return forms.IntegerField(**given)
    return forms.FloatField(**given, widget=forms.NumberInput({"step": step}))


def _choice(name: str, label: str, about: str, choices: Iterable[tuple[Any, str]]) -> forms.Field:
    kind: Any = type(_DEFAULTS[name])
    return forms.TypedChoiceField(
        label=label, help_text=about, choices=list(choices), initial=_DEFAULTS[name],
        coerce=kind, required=False, empty_value=_DEFAULTS[name],
    )  # fmt: skip


class RunForm(forms.Form):
    """What a run is to do. What goes together is judged by `inference.tuning.services.run_check`."""

    title = forms.CharField(
        required=False, max_length=80, label="Name", help_text="To find it in your list."
    )
    base = forms.ChoiceField(label="Base model", help_text="It stays as it is: an adapter is trained beside it.")  # fmt: skip
    method = forms.ChoiceField(
        label="Method", initial="rl",
        choices=[("rl", "Reinforcement"), ("sft", "Supervised")],
        help_text="Reinforcement makes better rewarded answers likelier. Supervised teaches the right answers, and needs no reward.",
    )  # fmt: skip
    source = forms.ChoiceField(
        label="Data", initial="world",
        choices=[("world", "Drawn scenes"), ("benchmark", "A benchmark's public split"), ("upload", "Your own")],
    )  # fmt: skip
    preset = forms.ChoiceField(
        required=False, label="Question", initial="counts",
        choices=[(p.slug, f"{p.title}: {p.about}") for p in PRESETS.values()],
    )  # fmt: skip
    domain = forms.ChoiceField(
        required=False, label="Scenes", initial="shapes",
        choices=[(d.name, d.title) for d in DOMAINS.values()],
    )  # fmt: skip
    count = forms.IntegerField(
        required=False, label="Examples", initial=400, min_value=1, max_value=MOST_EXAMPLES
    )
    data_seed = forms.IntegerField(
        required=False, label="Seed of the scenes", initial=0, min_value=0, max_value=2**31 - 1,
        help_text="Another seed draws other scenes.",
    )  # fmt: skip
    split = forms.ChoiceField(required=False, label="Split")
    upload = forms.ChoiceField(required=False, label="A file you sent before")
    file = forms.FileField(
        required=False, label="A file", allow_empty_file=True,
        widget=forms.FileInput({"accept": ".zip,.jsonl,.ndjson,.json,.gz"}),
    )  # fmt: skip
    reward = forms.ChoiceField(required=False, label="Reward", initial="count-right")
    document = forms.CharField(
        required=False, label="Reward as JSON", max_length=MAX_DOCUMENT,
        widget=forms.Textarea({"rows": 5, "spellcheck": "false", "class": "mono"}),
        help_text="As the builder writes it.",
    )  # fmt: skip

    steps = _number("steps", "Steps", "Updates of the adapter.")
    groups = _number("groups", "Questions a step", "Each with its own image.")
    group_size = _number("group_size", "Answers a question", "They are compared with each other.")
    lr = _number(
        "lr", "Learning rate", "How far one step goes. Too high, and the answers fall apart."
    )
    temperature = _number("temperature", "Temperature", "Higher gives answers that differ more. There is nothing to learn where all are alike.", "0.1")  # fmt: skip

    rehearsal = _number("rehearsal", "Keep other skills", "Other questions in a step, for each of its own: the base’s answers to them stay. 0 rehearses nothing.", "0.1")  # fmt: skip

    warmup_steps = _number("warmup_steps", "First, taught steps", "They teach right answers before any is sampled, so that there is something to prefer.")  # fmt: skip
    rank = _choice("rank", "Rank", "Size of the adapter.", [(r, str(r)) for r in RANKS])
    layers = _choice(
        "layers", "Layers", "What the adapter changes. Moondream’s own code reads the last two.",
        zip(LAYERS, ("all of the text blocks", "MLPs, as Moondream’s service", "as Moondream’s variants"), strict=True),
    )  # fmt: skip
    max_tokens = _number("max_tokens", "Longest answer, tokens", "Longer ones are cut.")
    max_objects = _number("max_objects", "Most places", "Points or boxes of one answer.")
    refills = _number("refills", "Replacements", "How often questions whose answers are all worth the same are replaced in a step.")  # fmt: skip
    loss = _choice("loss", "Loss", "How tokens are averaged.", [(v, v) for v in LOSSES])
    scaling = _choice("scaling", "Scaling", "What an advantage is divided by.", [(v, v) for v in SCALINGS])  # fmt: skip
    combination = _choice(
        "combination", "Combination", "Whether terms are summed before or after they are normalised.",
        zip(COMBINATIONS, ("sum, then normalise", "normalise, then sum"), strict=True),
    )  # fmt: skip
    clip_low = _number("clip_low", "Clip below", "How far a token may lose probability in one step.", "0.01")  # fmt: skip
    clip_high = _number("clip_high", "Clip above", "How far it may gain.", "0.01")
    beta = _number("beta", "Beta", "Weight of the divergence to the base. 0 leaves it out.", "0.01")
    kl_limit = forms.FloatField(
        required=False, label="Limit of the divergence", min_value=0.0001, max_value=100,
        widget=forms.NumberInput({"step": "any"}),
        help_text="Nats a token from the base at which the run ends. Empty: no limit.",
    )  # fmt: skip
    lr_warmup = _number("lr_warmup", "Rise of the learning rate", "Steps until it is at its full height.")  # fmt: skip
    checkpoint_every = _number("checkpoint_every", "Checkpoint every", "Steps between checkpoints that are kept.")  # fmt: skip
    seed = _number("seed", "Seed", "The same seed samples the same answers.")

    def __init__(
        self,
        *args: Any,
        variants: Iterable[Variant],
        splits: Iterable[Split],
        uploads: Iterable[TuningUpload],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.uploads, self.variants = list(uploads), list(variants)
        choices: dict[str, list[tuple[str, str]]] = {
            "base": [(v.slug, v.name) for v in self.variants],
            "split": [(f"{s.benchmark.slug}/{s.name}", f"{s.benchmark.title}, {s.name}") for s in splits],
            "upload": [("", "none"), *map(_upload_choice, self.uploads)],
            "reward": [*((slug, p.reward.name) for slug, p in REWARDS.items()), (OWN, "From the builder, as JSON below")],
        }  # fmt: skip
        for name, given in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = given
        if self.variants:
            chosen = self.by_base[self.variants[0].slug]
            self.initial = {**chosen["settings"], **self.initial}
        for name, field in self.fields.items():
            field.link = LINKS.get(name)  # type: ignore[attr-defined]  # for the template
            about = [f"{name}-about"] if field.help_text else []
            described = [*about, *([f"{name}-error"] if self.is_bound else [])]
            if described:
                field.widget.attrs["aria-describedby"] = " ".join(described)
            field.widget.attrs["class"] = " ".join(
                filter(None, [_class(field), field.widget.attrs.get("class")])
            )

    @cached_property
    def by_base(self) -> dict[str, dict[str, Any]]:
        """Of each base, by its slug: the settings that a run on it starts from, as far as they differ between
        bases, and where they come from."""
        differ = {name: _DEFAULTS[name] for base in BASES for name in base.settings}
        return {
            variant.slug: {
                "settings": {**differ, **found.settings}, "about": found.about
            }
            for variant in self.variants
            for found in [defaults_for(variant)]
        }  # fmt: skip

    @property
    def base_about(self) -> str:
        """Where the chosen base's settings come from."""
        first = self.variants[0].slug if self.variants else ""
        found = self.by_base.get(self["base"].value() or first)
        return str(found["about"]) if found else ""

    def clean_document(self) -> dict[str, Any] | None:
        """The builder's document, as JSON or as the Python it writes."""
        text = self.cleaned_data["document"].strip()
        if not text or self.data.get("reward") != OWN:
            return None
        try:
            return read(text).to_dict()
        except RewardError as error:
            raise forms.ValidationError(
                [f"{path} {problem}." if path else f"{problem}." for path, problem in error.problems]
            ) from error  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        needs = data.get("method") == "rl" and data.get("reward") == OWN
        if needs and not data.get("document") and "document" not in self.errors:
            self.add_error("document", "Paste the reward that the builder gave you.")
        return data

    def take_upload(self, upload: TuningUpload) -> None:
        """Keep what was sent as the choice that it is from now on."""
        self.uploads = [upload, *self.uploads]
        field = self.fields["upload"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "none"), *map(_upload_choice, self.uploads)]
        self.data = {**self.data, "upload": str(upload.pk)}
        self.cleaned_data["upload"] = str(upload.pk)

    @property
    def plan(self) -> dict[str, Any]:
        """Settings as a plan holds them."""
        given = {name: self.cleaned_data.get(name) for name in ("method", *MAIN, *ADVANCED)}
        plan = {name: value for name, value in given.items() if value not in (None, "")}
        if plan["method"] == "sft":
            plan.pop("warmup_steps", None)
        return plan

    @property
    def chosen(self) -> dict[str, Any]:
        """The data that was chosen, as a run keeps it."""
        data = self.cleaned_data
        if data["source"] == "benchmark":
            benchmark, _, split = data["split"].partition("/")
            return {"source": "benchmark", "benchmark": benchmark, "split": split}
        if data["source"] == "upload":
            return {"source": "upload", "upload": data["upload"]}
        numbers = {"count": data["count"], "seed": data["data_seed"]}
        kept = {name: value for name, value in numbers.items() if value is not None}
        return {"source": "world", "preset": data["preset"], "domain": data["domain"], **kept}

    @property
    def rewarded(self) -> dict[str, Any] | None:
        """The reward's document; None of sft."""
        data = self.cleaned_data
        if data["method"] == "sft":
            return None
        if data["reward"] == OWN:
            return data["document"]  # type: ignore[no-any-return]
        preset = REWARDS.get(data["reward"])
        return preset.reward.to_dict() if preset else None

    def add_problems(self, problems: Iterable[Mapping[str, str]]) -> None:
        """Say beside its field what a service refuses."""
        for each in problems:
            path = each["field"]
            name = _DATA_FIELDS.get(path, path.rpartition("data.")[2] or path)
            name = name.removeprefix("settings.")
            if path.startswith("reward"):
                is_own = self.cleaned_data.get("reward") == OWN
                name = "document" if is_own else "reward"
                self.add_error(name, f"{path} {each['problem']}.")
                continue
            text = each["problem"]
            text = f"{text[:1].upper()}{text[1:]}."
            self.add_error(name if name in self.fields else None, text)


def _upload_choice(upload: TuningUpload) -> tuple[str, str]:
    return str(upload.pk), f"{upload.name} ({upload.rows:,} rows)"


def _class(field: forms.Field) -> str:
    if isinstance(field.widget, forms.Select):
        return "select"
    if isinstance(field.widget, forms.Textarea):
        return "textarea"
    return "input"


def as_text(document: Mapping[str, Any]) -> str:
    """A reward's document as the form holds it."""
    return json.dumps(document, indent=1, ensure_ascii=False)
