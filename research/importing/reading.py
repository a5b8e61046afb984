"""What an editor pastes: BibTeX, or DOIs and arXiv ids, one a line."""

import re
import time

from django.core.exceptions import ValidationError

from research.importing.found import Found, arxiv_of, doi_of

_BIBTEX = re.compile(r"@\s*\w+\s*[{(]")
MOST = 200_000
"""Characters that are read."""
MOST_AT_ONCE = 20
MOST_ASKED = 5
"""Papers that others are asked for at once: each may take its time."""
PATIENCE_S = 20.0
"""After which nobody else is asked."""


def read(text: str) -> list[Found]:
    """
    Raises:
        ValidationError: nothing of it is a paper, or somebody who is asked does not answer.
    """
    if len(text) > MOST:
        raise ValidationError(f"At most {MOST} characters are read at once.")
    if _BIBTEX.search(text):
        from research.importing import bibtex  # no web process needs its library to start

        found = bibtex.papers(text)
    else:
        found = _asked([row.strip() for row in text.splitlines() if row.strip()])
    found = [one for one in found if one.title]
    if not found:
        raise ValidationError("No paper with a title is in it.")
    if len(found) > MOST_AT_ONCE:
        raise ValidationError(f"There are {len(found)} papers; import at most {MOST_AT_ONCE} at once.")  # fmt: skip
    return found


def _asked(rows: list[str]) -> list[Found]:
    if not rows:
        raise ValidationError("Paste a DOI, an arXiv id, or BibTeX.")
    if len(rows) > MOST_ASKED:
        raise ValidationError(f"Ask for at most {MOST_ASKED} papers at once, or paste BibTeX.")
    until = time.monotonic() + PATIENCE_S
    found = []
    for row in dict.fromkeys(rows):
        if time.monotonic() > until:
            raise ValidationError("The answers take too long now. Ask for fewer papers at once.")
        found.append(_one(row))
    return found


def _one(row: str) -> Found:
    from research.importing import elsewhere  # likewise

    # arXiv knows more of its own papers than the registry of their DOIs.
    number = arxiv_of(row)
    if number:
        return elsewhere.by_arxiv(number)
    doi = doi_of(row)
    if doi:
        return elsewhere.by_doi(doi)
    raise ValidationError(
        f"“{row[:80]}” is no DOI, no arXiv id and no BibTeX. A DOI looks like 10.48550/arXiv.2303.15343."
    )
