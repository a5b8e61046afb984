"""A comparison as one picture to take away."""

import contextlib

from inference import images, social_card
from inference.social_card import AnswerRow
from playground.comparison.selectors import ComparisonView


def picture(view: ComparisonView, site: str) -> bytes:
    """Image, question and each model's answer, with what was found drawn in each one's colour: PNG bytes.

    Args:
        site: the host's name, for its foot.
    """
    image = None
    with contextlib.suppress(FileNotFoundError):  # then it is words alone
        image = images.read(view.first.image.file_name) if view.first.image else None
    rows = []
    for column in view.columns:
        facts = [f"{s.name} {s.value:.3f}" for s in column.scores]
        if column.view.job.timings.get("total_ms"):
            facts.append(f"{column.view.job.timings['total_ms']:.0f} ms")
        answer = column.view.answer or column.view.job.get_status_display()
        rows.append(AnswerRow(column.label, answer, " · ".join(facts), column.view.corners))
    return social_card.draw_comparison(image, view.first.title, rows, site)
