"""Reading and rendering notebooks that nobody vouches for."""

import base64
import json
import time

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from wagtail.test.utils.form_data import nested_form_data, streamfield

from research.models import NotebookPage, NotebooksPage
from research.notebooks import binder_url, check_notebook, colab_url, read_notebook, rendered


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


MARKDOWN = {"cell_type": "markdown", "source": "fine"}
DAMAGED = [
    book({"cell_type": "code", "source": None}), book({"cell_type": "code", "source": 5}),
    book({"cell_type": "code", "source": [1, 2]}), book({"cell_type": "markdown", "source": {"a": 1}}),
    book({"cell_type": None, "source": ""}), book({"source": "x"}), book({}), book([]),
    book({"cell_type": "code", "source": "x", "outputs": None}),
    book({"cell_type": "code", "source": "x", "outputs": {"a": 1}}), book(code("x", "text")), book(code("x", {})),
    book(code("x", {"output_type": "stream", "text": [1]})), book(code("x", {"output_type": "stream", "text": None})),
    book(code("x", {"output_type": "error", "ename": 1, "evalue": "x"})),
    book(code("x", {"output_type": "display_data", "data": []})),
    book(code("x", {"output_type": "display_data", "data": {"text/plain": {"a": 1}}})),
    book(code("x", {"output_type": "display_data", "data": {"image/png": 5}})),
    book(code("x", {"output_type": "display_data", "data": {"text/html": [None]}})),
    b'{"nbformat": 4}', b'{"nbformat": 4, "cells": null}', b'{"nbformat": "4", "cells": []}', b"null", b"4", b"", b"\0",
    b'{"nbformat": 4, "cells": [], "metadata": []}', b'{"nbformat": 4, "cells": [], "metadata": null}',
    b'{"nbformat": 3, "worksheets": [{"cells": []}]}', b'{"nbformat": 4, "cells": [' + b"9" * 5000 + b"]}",
    b'{"nbformat": 4, "cells": ' + b'{"a":' * 50_000, b'{"nbformat": 4, "cells": ["\xff"]}',
    book(*[MARKDOWN] * 1001),
]  # fmt: skip


@pytest.mark.parametrize("raw", DAMAGED)
def test_a_damaged_notebook_is_a_plain_error_for_its_editor(raw: bytes) -> None:
    with pytest.raises(ValidationError) as said:
        check_notebook(ContentFile(raw))
    assert said.value.messages[0].startswith(("This is no notebook", "The notebook"))


def odd(**metadata: object) -> bytes:
    return json.dumps({"nbformat": 4, "metadata": metadata, "cells": [code("x = 1")]}).encode()


ODD = [
    odd(language_info=None), odd(language_info=[]), odd(language_info={"name": ["python"]}),
    odd(language_info={"name": {}}), odd(language_info={"name": "x" * 9999}), odd(kernelspec=7),
    b'{"nbformat": 4, "cells": []}', book(code("x = '\ud800'")), book(code("a\0b")), book({**MARKDOWN, "source": "\ud800\0"}),
    book({"cell_type": "raw", "source": "x"}), book({"cell_type": "odd", "source": "x", "outputs": []}),
    book({**MARKDOWN, "attachments": None}), book({**MARKDOWN, "attachments": {"a.png": 5}, "source": "![a](attachment:a.png)"}),
    book(code("x", {"output_type": "stream", "text": "\udfff\x1b[31mred\0"})),
    book(code("x", {"output_type": "display_data", "data": {"text/html": "\ud800<b>"}})),
    book(code("x", {"output_type": "display_data", "data": {"text/html": "<div>" * 4000}})),
    book(code("x", {"output_type": "display_data", "data": {"application/json": {"a": {"b": [1]}}}})),
    book(code("x", {"output_type": "display_data", "data": {"image/png": "A" * 4_000_000}})),
    book(code("x", {"output_type": "display_data", "data": {}, "metadata": None})), book(code("x", {"output_type": "new"})),
    book(code("x", *[{"output_type": "stream", "text": "y"}] * 5000)), book(code("x" * 200_000)), book(code("(" * 90_000)),
    book({**MARKDOWN, "source": ">" * 50_000}), book({**MARKDOWN, "source": "[" * 20_000}), book({**MARKDOWN, "source": "*" * 50_000}),
    book({**MARKDOWN, "source": "- " * 20_000}), book({**MARKDOWN, "source": "|a" * 20_000 + "\n" + "|-" * 20_000}),
    book({"cell_type": "code", "source": "x", "execution_count": "5"}), book({"cell_type": "code", "source": "x"}),
]  # fmt: skip


@pytest.mark.parametrize("raw", ODD)
def test_an_odd_notebook_is_shown_within_bounds(raw: bytes) -> None:
    check_notebook(ContentFile(raw))
    began = time.monotonic()
    cells = rendered(read_notebook(raw))
    text = "".join(c.html + "".join(o.html + o.text + o.picture for o in c.outputs) for c in cells)
    text.encode()
    assert "\0" not in text
    assert len(text) < 2_000_000
    assert time.monotonic() - began < 20


@pytest.mark.django_db
@pytest.mark.parametrize("raw", [DAMAGED[0], DAMAGED[-4], b"\xff\xfe", b"", ODD[0], ODD[7]])
def test_whatever_is_stored_never_breaks_its_page(client, starter, raw: bytes) -> None:
    page = NotebookPage.objects.get(slug="reproduce-a-figure")
    stored = default_storage.save("notebooks/odd.ipynb", ContentFile(raw))
    NotebookPage.objects.filter(pk=page.pk).update(file=stored)
    for path in (page.url, f"{page.url.rstrip('/')}.md"):
        assert client.get(path).status_code == 200
    if raw not in ODD:
        assert "The preview cannot be shown" in client.get(page.url).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "notebooks/gone.ipynb"])
def test_a_page_without_its_file_is_shown(client, starter, name: str) -> None:
    page = NotebookPage.objects.get(slug="reproduce-a-figure")
    NotebookPage.objects.filter(pk=page.pk).update(file=name)
    assert "The preview cannot be shown" in client.get(page.url).content.decode()
    assert client.get("/research/notebooks/").status_code == 200


@pytest.mark.django_db
def test_an_editor_who_uploads_a_damaged_notebook_is_told(admin_client, starter) -> None:
    shelf = NotebooksPage.objects.get()
    form = nested_form_data({
        "title": "Odd", "slug": "odd", "lede": "x", "published_on": "2026-01-01", "accent": "blue",
        "file": ContentFile(DAMAGED[0], name="odd.ipynb"), "tags": "", "action-publish": "1",
        "details": streamfield([]),
    })  # fmt: skip
    answer = admin_client.post(f"/admin/pages/add/research/notebookpage/{shelf.pk}/", form)
    assert answer.status_code == 200
    assert "cells are damaged: cell 1" in answer.content.decode()
    assert not NotebookPage.objects.filter(slug="odd").exists()


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
