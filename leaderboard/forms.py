"""Forms: of a submission, and what those of admins have in common."""

from typing import Any

from django import forms

from inference.errors import DomainError
from leaderboard import names, services
from leaderboard.models import Split, Team
from leaderboard.roles import Act
from leaderboard.services.submitting import PRECISIONS
from leaderboard.services.teams import teams_joined


class SubmitForm(forms.Form):
    """What the API takes, for who has a file and a browser."""

    team = forms.ChoiceField(required=False)
    split = forms.ChoiceField(help_text="Scores on the hidden split make the table.")
    file = forms.FileField(
        label="Predictions", help_text="JSON lines or one JSON array, plain or gzip, up to 50 MB."
    )
    model_name = forms.CharField(max_length=80, label="Model")
    parameters = forms.CharField(required=False, max_length=20, help_text='As in "1.93B".')
    precision = forms.ChoiceField(required=False, choices=[(p, p or "unknown") for p in PRECISIONS])
    revision = forms.CharField(required=False, max_length=80)
    latency_ms = forms.FloatField(
        required=False, min_value=0.001, label="Latency, ms",
        help_text="Median of one item, shown as reported by you.",
    )  # fmt: skip
    hardware = forms.CharField(
        required=False, max_length=200, help_text="What the latency was measured on."
    )
    link = forms.URLField(required=False, assume_scheme="https", help_text="A paper, a repository.")
    contact = forms.EmailField(required=False, help_text="For us; never shown.")
    note = forms.CharField(required=False, max_length=500)
    site_model = forms.CharField(
        required=False, max_length=200, label="Tuned here",
        help_text="As base/finetune@step, where a model that was tuned on this site predicted.",
    )  # fmt: skip
    open_weights = forms.BooleanField(required=False, label="The weights are open")
    is_public = forms.BooleanField(required=False, initial=True, label="Show it on the table")

    def __init__(self, *args: Any, splits: list[Split], teams: list[Team], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(teams) > 1:
            _choices(self.fields["team"], [(t.name, t.name) for t in teams])
        else:
            del self.fields["team"]
        ordered = sorted(splits, key=lambda s: not s.ranks)
        _choices(self.fields["split"], [
            (s.name, f"{s.name} ({'public' if s.is_public else 'hidden'}, {s.item_count} items)")
            for s in ordered
        ])  # fmt: skip

    def field_of(self, error: DomainError) -> str | None:
        """The field a domain error is about; None for the form as a whole."""
        if error.code in ("bad_predictions", "predictions_too_large"):
            return "file"
        name = error.extra.get("field")
        return name if name in self.fields else None


def _choices(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices


class ChallengeSubmitForm(SubmitForm):
    """The same to a challenge: its phase says for which split, and the team is the one in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, splits=[], teams=[], **kwargs)
        del self.fields["split"]
        self.fields["is_public"].label = "Show and rank it in the standings"


class JoinForm(forms.Form):
    """Entering a challenge."""

    team = forms.ChoiceField(required=False)
    accept_rules = forms.BooleanField(label="We accept the rules")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(teams_joined(user, Act.COMPETE).values_list("name", flat=True))
        if len(names) > 1:
            _choices(self.fields["team"], [(name, name) for name in names])
        else:
            del self.fields["team"]


class TeamNameMixin:
    """Of forms for a team: its name in its one form, and not too like another's."""

    cleaned_data: dict[str, Any]
    instance: Team

    def clean_name(self) -> str:
        """
        Raises:
            ValidationError: it may not be called so.
        """
        name = names.cleaned(self.cleaned_data["name"])
        if name != self.instance.name:
            try:
                services.team_name_check(self.instance, name, by_admin=True)
            except DomainError as error:
                raise forms.ValidationError(error.message) from error
        return name


class PublishForm(forms.Form):
    """A split's name, written out, before its references are public."""

    confirm = forms.CharField(
        max_length=100, label="Its name, to confirm", help_text="As in benchmark/split."
    )


class RunForm(forms.Form):
    """Which model of this site is run."""

    site_model = forms.CharField(
        max_length=200,
        label="Model",
        help_text="A variant's name, or a tuned model's as base/finetune@step.",
    )
