"""Questions about random pictures for a tiny random model."""

from functools import partial
from typing import Any

import pytest
from PIL import Image

from inference.engine.tuning.examples import Example


def picture(number: int) -> Image.Image:
    return Image.linear_gradient("L").rotate(40 * number).convert("RGB").resize((48, 48))


def example(skill: str, number: int = 0, **fields: Any) -> Example:
    params = {
        "query": {"question": "How many?" + "?" * number},
        "caption": {"length": "short"},
        "point": {"object": "circle"},
        "detect": {"object": "red circle"},
    }[skill]
    return Example(skill, params, partial(picture, number), f"picture-{number}", **fields)


@pytest.fixture
def mixed() -> list[Example]:
    """Each skill, two questions about one picture among them."""
    asked = [example(s, n) for n, s in enumerate(("query", "caption", "point", "detect"))]
    return [*asked, example("query", 1)]
