"""Checks of the identifiers that editors type. Each says what a right one looks like."""

import re

from django.core.exceptions import ValidationError
from django.core.files.base import File

_DOI = re.compile(r"10\.\d{4,9}(\.\d+)*/\S+")
_ARXIV = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?")
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
_ANCHOR = re.compile(r"[a-z][a-z0-9-]*")
DOI_SAFE = "/:.,-_()~!*'@=&$"
"""What of a DOI stands in an address as it is; all else is encoded."""
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*( (OR|AND|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*")


def validate_doi(value: str) -> None:
    """A bare DOI (DOI Handbook, 2.2): "10.48550/arXiv.2303.15343". Its end may hold whatever can be
    printed, as "<693::AID-ASI4>" in those made of a SICI."""
    if not (_DOI.fullmatch(value) and value.isprintable()):
        raise ValidationError("Give the bare DOI, like 10.48550/arXiv.2303.15343.")


def validate_arxiv_id(value: str) -> None:
    """An arXiv identifier of either scheme, with or without its version."""
    if not _ARXIV.fullmatch(value):
        raise ValidationError("Give the bare arXiv number, like 2303.15343 or 2303.15343v2.")


def validate_orcid(value: str) -> None:
    """An ORCID iD whose last character is the ISO 7064 MOD 11-2 check digit of the rest."""
    if not _ORCID.fullmatch(value):
        raise ValidationError("Give the bare ORCID iD, like 0000-0002-1825-0097.")
    digits = value.replace("-", "")
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if digits[-1] != ("X" if check == 10 else str(check)):
        raise ValidationError("The last digit of this ORCID iD does not fit the others.")


def validate_anchor(value: str) -> None:
    """A fragment that other pages may link to for ever."""
    if not _ANCHOR.fullmatch(value):
        raise ValidationError("Use small letters, digits and hyphens, beginning with a letter.")


def validate_licence(value: str) -> None:
    """An SPDX expression in form: "Apache-2.0", "CC-BY-4.0", "MIT OR Apache-2.0"."""
    if not _SPDX.fullmatch(value):
        raise ValidationError("Give an SPDX identifier, like Apache-2.0 or CC-BY-4.0.")


def validate_pdf(file: File) -> None:
    """A file named as a PDF, with a PDF's header in its first 1,024 bytes (ISO 32000, annex H).

    Raises:
        ValidationError: it is something else, or cannot be read.
    """
    if not str(file.name).lower().endswith(".pdf"):
        raise ValidationError("Choose a PDF: the name of this file does not end in .pdf.")
    try:
        was_closed = file.closed
        file.open("rb")
        head = file.read(1024)
        file.seek(0)
        if was_closed:
            file.close()
    except (OSError, ValueError) as error:
        raise ValidationError("This file cannot be read. Upload it again.") from error
    if b"%PDF-" not in head:
        raise ValidationError("This file is no PDF, whatever its name says.")


def validate_link(value: str) -> None:
    """An address on this site, or an https one."""
    if not (value.startswith(("/", "#", "https://", "mailto:")) and not value.startswith("//")):
        raise ValidationError("Begin with / for a page of this site, or with https://.")
