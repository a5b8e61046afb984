"""The steps of an application. A draft keeps what is there; sending it in asks for all of it."""

import re
from typing import Any, ClassVar

from django import forms

from pricing.application import NEEDED
from pricing.models import CreditApplication, CreditOutcome

_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", re.ASCII)
_MOST = 100_000_000


def orcid_holds(text: str) -> bool:
    """Whether a string is an ORCID: its last sign is the checksum of ISO 7064, mod 11-2."""
    if not _ORCID.fullmatch(text):
        return False
    total = 0
    for digit in text.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return text[-1] == ("X" if check == 10 else str(check))


class Step(forms.ModelForm[CreditApplication]):
    """One page of it."""

    heading: ClassVar[str]
    lede: ClassVar[str] = ""
    needed: ClassVar[tuple[str, ...]] = ()
    """Fields without which it cannot be sent in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.required = False


class Eligibility(Step):
    heading = "Who may apply"
    lede = "Credits are for research that others can read. If one of these does not hold, a plan is the way."
    needed = NEEDED[0]

    class Meta:
        model = CreditApplication
        fields = ("is_affiliated", "is_noncommercial", "will_publish")


class Person(Step):
    heading = "You"
    lede = "So that we know who asks. None of it is public."
    needed = NEEDED[1]

    orcid = forms.CharField(
        label="ORCID", max_length=60, help_text="As in 0000-0002-1825-0097, or its whole address."
    )

    class Meta:
        model = CreditApplication
        fields = ("full_name", "institution", "role", "work_address", "orcid")

    def clean_orcid(self) -> str:
        text: str = self.cleaned_data["orcid"].strip().removeprefix("https://orcid.org/").upper()
        if text and not orcid_holds(text):
            raise forms.ValidationError("This is no ORCID: look at its digits again.")
        return text


class Project(Step):
    heading = "The work"
    lede = "A few sentences each. What you measure, on what, and how anybody will see it."
    needed = NEEDED[2]

    class Meta:
        model = CreditApplication
        fields = ("title", "aim", "method", "dataset", "outputs", "links")
        widgets: ClassVar[dict[str, Any]] = {
            name: forms.Textarea(attrs={"rows": rows})
            for name, rows in (("aim", 4), ("method", 6), ("outputs", 3), ("links", 3))
        }


class Amount(Step):
    heading = "What it needs"
    lede = "The calculator on the page of prices says what a number of images costs. Ask for what it takes."
    needed = NEEDED[3]

    class Meta:
        model = CreditApplication
        fields = ("images", "training_minutes", "needed_until")
        widgets: ClassVar[dict[str, Any]] = {
            "needed_until": forms.DateInput(attrs={"type": "date"})
        }

    def _most(self, name: str) -> int | None:
        number: int | None = self.cleaned_data[name]
        if number is not None and number > _MOST:
            raise forms.ValidationError(f"At most {_MOST:,}.")
        return number

    def clean_images(self) -> int | None:
        return self._most("images")

    def clean_training_minutes(self) -> int | None:
        return self._most("training_minutes")


STEPS: tuple[type[Step], ...] = (Eligibility, Person, Project, Amount)


class OutcomeForm(forms.ModelForm[CreditOutcome]):
    """Something that came of a grant."""

    url = forms.URLField(label="Address", max_length=300, assume_scheme="https")

    class Meta:
        model = CreditOutcome
        fields = ("kind", "title", "url")
