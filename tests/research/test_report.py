"""The technical report: its sections are found in the printed pages."""

from research.management.commands.write_report import SECTIONS, sections_of
from research.validators import validate_anchor


def test_sections_are_found_on_their_pages_ligatures_too() -> None:
    pages = [
        "A title\n1. Architecture\n… 2. The drawn world", "3. Training\n4. Con\ufb01dence",
        "5. Results", "6. Limits\nReferences",
    ]  # fmt: skip
    found = sections_of(pages)
    assert [s["page"] for s in found] == [1, 1, 2, 2, 3, 4]
    assert [s["anchor"] for s in found] == list(SECTIONS)
    for section in found:
        validate_anchor(section["anchor"])
