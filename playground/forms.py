"""The form that proposes a prompt."""

from typing import Any

from django import forms

from inference.models import Skill
from leaderboard import selectors as leaderboard
from leaderboard.models import Benchmark, ReportedFigure


class ProposeForm(forms.Form):
    """A prompt, what it is of, and where it is published."""

    benchmark = forms.ChoiceField(required=False)
    name = forms.CharField(
        required=False, max_length=60, label="Another benchmark",
        help_text="Its name, if it is not in the list above.",
    )  # fmt: skip
    skill = forms.ChoiceField(choices=[(s.value, s.label) for s in Skill], initial=Skill.QUERY)
    text = forms.CharField(
        max_length=500, label="Prompt", widget=forms.Textarea({"rows": 4}),
        help_text="Word for word as it is published. {question} or {object} stands for what each "
        "item asks.",
    )  # fmt: skip
    source = forms.CharField(max_length=160, help_text="Who publishes it: a paper, a repository.")
    source_url = forms.URLField(
        label="Address of the source", assume_scheme="https", max_length=200,
        help_text="The page or file that holds the prompt.",
    )  # fmt: skip
    figure = forms.ModelChoiceField(
        ReportedFigure.objects.filter(is_shown=True), required=False, empty_label="none of these",
        label="Reproduces", help_text="The published figure that was measured with it.",
    )  # fmt: skip
    note = forms.CharField(
        required=False, max_length=300, help_text="The split, what stands around the prompt."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own, names = leaderboard.prompt_benchmarks()
        choice = self.fields["benchmark"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            ("", "another, named below"),
            ("Leaderboards here", [(f"board:{b.slug}", b.title) for b in self._own]),
            ("Reported elsewhere", [(f"name:{n}", n) for n in names]),
        ]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        kind, _, of = data.get("benchmark", "").partition(":")
        if bool(of) == bool(data.get("name")):
            told = "Choose one above, or name one here: not both." if of else "Name the benchmark."
            if "benchmark" not in self.errors and "name" not in self.errors:
                self.add_error("name", told)
        data["board"] = next((b for b in self._own if kind == "board" and b.slug == of), None)
        data["name"] = of if kind == "name" else data.get("name", "")
        return data

    def proposal(self) -> dict[str, Any]:
        """What `prompt_propose` takes."""
        data = self.cleaned_data
        board: Benchmark | None = data["board"]
        names = ("name", "skill", "text", "source", "source_url", "note", "figure")
        return {"benchmark": board, **{name: data[name] for name in names}}
