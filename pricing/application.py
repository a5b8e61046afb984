"""What an application for credits needs before it can be sent in, step by step."""

from pricing.models import CreditApplication

NEEDED: tuple[tuple[str, ...], ...] = (
    ("is_affiliated", "is_noncommercial", "will_publish"),
    ("full_name", "institution", "role"),
    ("title", "aim", "method", "dataset", "outputs"),
    ("needed_until",),
)
"""By step: fields that are filled in."""
_EITHER: tuple[tuple[int, tuple[str, ...], str], ...] = (
    (2, ("work_address", "orcid"), "a mail address at the institution, or an ORCID"),
    (4, ("images", "training_minutes"), "images or training minutes"),
)
"""A step, fields of which one is enough, and what is missing without."""


def missing(application: CreditApplication) -> list[tuple[int, str]]:
    """The step's number and what is needed there, in their order."""
    found = []
    for number, fields in enumerate(NEEDED, 1):
        found += [
            (number, str(CreditApplication._meta.get_field(name).verbose_name))  # type: ignore[union-attr]
            for name in fields
            if not getattr(application, name)
        ]
        found += [
            (number, told)
            for step, names, told in _EITHER
            if step == number and not any(getattr(application, name) for name in names)
        ]
    return found
