"""Reading and rendering notebooks that nobody vouches for."""

import base64
import json

import pytest

from research.notebooks import binder_url, colab_url, read_notebook, rendered


def book(*cells: dict) -> bytes:
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}
    ).encode()


def code(source: str, *outputs: dict) -> dict:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "execution_count": 3}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xfe", "not JSON"), (b"[]", "format 4"), (b'{"cells": 1}', "format 4"),
        (b'{"nbformat": 3, "cells": []}', "format 4"),
        (b'{"nbformat": 4, "cells": [1]}', "damaged"), (b"[" * 100_000, "not JSON"),
        (b"x" * (8 * 2**20 + 1), "larger than"),
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_said_in_words(raw: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_notebook(raw)


def test_no_script_of_an_author_survives() -> None:
    cells = rendered(
        read_notebook(
            book(
                {
                    "cell_type": "markdown",
                    "source": "<img src=x onerror=alert(1)> [x](javascript:alert(1))",
                },
                code(
                    "print('<script>')",
                    {
                        "output_type": "display_data",
                        "data": {"text/html": "<b onclick='x()'>b</b><script>y()</script>"},
                    },
                    {
                        "output_type": "display_data",
                        "data": {"image/svg+xml": "<svg onload=z()>", "text/plain": "<svg>"},
                    },
                    {"output_type": "display_data", "data": {"image/png": "not base64!"}},
                ),
            )
        )
    )
    html = " ".join([c.html for c in cells] + [o.html for c in cells for o in c.outputs])
    assert "<script" not in html
    assert "onerror" not in html.replace("&lt;img src=x onerror", "")
    assert "onclick" not in html
    assert "href=" not in html
    assert cells[1].outputs[0].html == "<b>b</b>"
    assert cells[1].outputs[1].text == "<svg>"
    assert cells[1].outputs[2].picture == ""


def test_outputs_of_each_kind() -> None:
    dot = base64.b64encode(b"\x89PNG").decode()
    (cell,) = rendered(
        read_notebook(
            book(
                code(
                    "x",
                    {"output_type": "stream", "text": ["a\n", "b"]},
                    {"output_type": "error", "ename": "E", "evalue": "bad"},
                    {"output_type": "execute_result", "data": {"image/png": dot + "\n"}},
                )
            )
        )
    )
    texts = [o.text for o in cell.outputs]
    assert texts == ["a\nb", "E: bad", ""]
    assert cell.outputs[1].is_error
    assert cell.outputs[2].picture == f"data:image/png;base64,{dot}"
    assert cell.number == 3


def test_headings_go_under_the_pages_own_title() -> None:
    cells = rendered(
        read_notebook(
            book(
                {"cell_type": "markdown", "source": "# Title\n\nText"},
                {"cell_type": "markdown", "source": "# Part\n## Detail\n```\n# no heading\n```"},
            )
        )
    )
    assert "<h1" not in "".join(c.html for c in cells)
    assert "Title" not in cells[0].html
    assert "<h2>Part</h2>" in cells[1].html
    assert "<h3>Detail</h3>" in cells[1].html
    assert "# no heading" in cells[1].html


def test_links_to_colab_and_binder() -> None:
    assert colab_url("a/b", "v1", "notebooks/x y.ipynb") == (
        "https://colab.research.google.com/github/a/b/blob/v1/notebooks/x%20y.ipynb"
    )
    assert binder_url("a/b", "feat/x", "n/x.ipynb") == (
        "https://mybinder.org/v2/gh/a/b/feat%2Fx?labpath=n%2Fx.ipynb"
    )
