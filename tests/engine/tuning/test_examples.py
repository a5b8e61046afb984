"""Examples refuse what no model can be asked or taught, with everything that is wrong."""

import pytest
from PIL import Image

from inference.engine.tuning.examples import Example, ExampleError


def image():
    return Image.new("RGB", (8, 8))


SEEN = {"open_image": image, "image_key": "a"}
BOX = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}


@pytest.mark.parametrize(
    ("skill", "params", "more"),
    [
        ("query", {"question": "How many?"}, {}),
        ("query", {"question": "What is here?", "spatial_refs": [[0.5, 1], [0, 0, 1, 1]]}, SEEN),
        ("caption", {"length": "short"}, SEEN | {"reference": {"captions": ["a", "b"]}}),
        ("point", {"object": "cross"}, SEEN | {"target": {"points": [{"x": 0, "y": 1}]}}),
        ("point", {"object": "cross"}, SEEN | {"target": {"boxes": [BOX]}}),
        ("detect", {"object": "cross"}, SEEN | {"target": {"boxes": []}, "reference": {"objects": []}}),
    ],
)  # fmt: skip
def test_what_can_be_asked_and_taught(skill, params, more):
    example = Example(skill, params, **more)
    assert example.prompt == next(iter(params.values()))


@pytest.mark.parametrize(
    ("skill", "params", "more", "paths"),
    [
        ("segment", {"object": "cross"}, SEEN, ["skill"]),
        ("query", {}, {}, ["question"]),
        ("query", {"question": " "}, {}, ["question"]),
        ("query", {"question": "a" * 2001}, {}, ["question"]),
        ("query", {"question": "a\x00"}, {}, ["question"]),
        ("query", {"question": "\ud800"}, {}, ["question"]),
        ("query", {"question": "a", "object": "b"}, {}, ["object"]),
        ("query", {"question": "a", "spatial_refs": [[0.1], [0.1, True], [2, 0]]}, {},
         ["spatial_refs[0]", "spatial_refs[1]", "spatial_refs[2]"]),
        ("query", {"question": "a", "spatial_refs": [[0.1, 0.1]] * 17}, {}, ["spatial_refs"]),
        ("query", {"question": "a", "reasoning": "yes"}, {}, ["reasoning"]),
        ("caption", {"length": "tiny"}, {}, ["length", "image"]),
        ("detect", {"object": "cross"}, {"open_image": image}, ["image_key"]),
        ("detect", {"object": "cross"}, SEEN | {"reference": {"boxes": 3}}, ["reference"]),
        ("detect", {"object": "cross"}, SEEN | {"target": {"points": []}}, ["target.points", "target"]),
        ("detect", {"object": "cross"}, SEEN | {"target": {"boxes": [BOX | {"x_min": 0.5}]}},
         ["target.boxes[0]"]),
        ("detect", {"object": "cross"}, SEEN | {"target": {"boxes": [BOX] * 301}}, ["target.boxes"]),
        ("point", {"object": "cross"}, SEEN | {"target": {"points": [{"x": float("nan"), "y": 0}]}},
         ["target.points[0]"]),
        ("point", {"object": "cross"}, SEEN | {"target": {"points": [], "boxes": []}}, ["target"]),
        ("caption", {"length": "long"}, SEEN | {"target": {"answer": "a"}}, ["target.answer", "target"]),
    ],
)  # fmt: skip
def test_everything_that_is_wrong_is_named(skill, params, more, paths):
    with pytest.raises(ExampleError) as caught:
        Example(skill, params, **more)
    assert [path for path, _ in caught.value.problems] == paths
