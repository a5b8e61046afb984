"""Pictures, tables, films and formulas: what may be kept, how it is shown, as Markdown, in searches."""

import io
import re
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.test import Client
from PIL import Image as Picture
from wagtail.images import get_image_model

from research import services, tasks
from research.blocks import ARTICLE, DETAILS, SECTIONS
from research.blocks.media import FRAMES, PROVIDERS, DataTable, FilmBlock, MathsBlock, provider_of
from research.maths import MOST, NotMaths, mathml
from research.models import (
    DatasetPage,
    DocsArticlePage,
    NotebookPage,
    PaperPage,
    ReleasePage,
    RoadmapItemPage,
    StandardPage,
)

FILM = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
TABLE = {
    "data": [["Precision", "MB"], ["FP16 <b>", "11.4"], ["4-bit", None]],
    "first_row_is_table_header": True, "first_col_is_header": True, "table_header_choice": "both",
    "table_caption": "What weights take", "cell": [], "mergeCells": [],
}  # fmt: skip


@pytest.fixture
def picture(db: None) -> Any:
    file = io.BytesIO()
    Picture.new("RGB", (1600, 900), "teal").save(file, "PNG")
    return get_image_model().objects.create(
        title="A field", description="A teal field.", file=ContentFile(file.getvalue(), "f.png")
    )


def stream(picture: Any) -> list[tuple[str, Any]]:
    image = {"image": picture, "alt_text": "A field in teal", "decorative": False}
    from wagtail.images.blocks import ImageBlock

    return [
        ("image", {"image": ImageBlock().to_python({**image, "image": picture.pk}), "caption": "Fig. 1"}),
        ("table", TABLE),
        ("film", {"url": FILM, "title": "How it points", "caption": ""}),
        ("maths", {"tex": r"\sum_{i=1}^{n} x_i \le \text{<b>}", "name": "Equation 7"}),
    ]  # fmt: skip


KINDS = (PaperPage, NotebookPage, DatasetPage, ReleasePage, RoadmapItemPage, DocsArticlePage, StandardPage)  # fmt: skip


@pytest.mark.parametrize("model", KINDS)
def test_every_kind_of_page_shows_them(starter, client: Client, picture, model) -> None:
    page = model.objects.live().exclude(url_path__endswith="/docs/").first()
    name = "details" if hasattr(page, "details") else "body"
    setattr(page, name, stream(picture))
    page.save_revision().publish()
    text = client.get(page.url).content.decode()
    image = re.search(r"<img[^>]*A field in teal[^>]*>", text)
    assert image, text
    for part in ("srcset=", "sizes=", 'loading="lazy"', 'width="', 'height="'):
        assert part in image[0]
    assert "<caption>What weights take</caption>" in text
    assert '<th scope="col">Precision</th>' in text
    assert '<th scope="row">FP16 &lt;b&gt;</th>' in text
    assert "<iframe" not in text
    assert 'src="https://www.youtube' not in text
    assert 'href="https://www.youtube.com/watch?v=dQw4w9WgXcQ"' in text
    assert "<mtext>&lt;b&gt;</mtext>" in text
    markdown = client.get(page.markdown_url).content.decode()
    assert "$$\n\\sum_{i=1}^{n} x_i \\le \\text{<b>}\n$$" in markdown
    assert "![A field in teal](" in markdown
    assert re.search(r"\| Precision \| MB \|", markdown)
    assert "[Watch “How it points” at YouTube](https://www.youtube.com/watch?v=dQw4w9WgXcQ)" in markdown  # fmt: skip
    assert "Show it here" not in markdown
    for words in ("How it points", "What weights take", "Equation 7", "field in teal"):
        assert page.title in client.get("/search/", {"q": words}).content.decode(), words


def test_the_policy_lets_in_just_their_frames() -> None:
    policy: Any = settings.CONTENT_SECURITY_POLICY
    allowed = policy["DIRECTIVES"]["frame-src"]
    assert set(FRAMES) == {source for source in allowed if source.startswith("http")}


@pytest.mark.parametrize(
    ("address", "frame"),
    [
        (FILM, "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ?t=4", "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"),
        ("https://m.youtube.com/shorts/dQw4w9WgXcQ", "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"),
        ("https://vimeo.com/76979871", "https://player.vimeo.com/video/76979871?dnt=1"),
        ("https://player.vimeo.com/video/76979871?h=1", "https://player.vimeo.com/video/76979871?dnt=1"),
        ("http://www.youtube.com/watch?v=dQw4w9WgXcQ", ""),
        ("https://www.youtube.com.evil.test/watch?v=dQw4w9WgXcQ", ""),
        ("https://evil.test/https://youtu.be/dQw4w9WgXcQ", ""),
        ("https://www.youtube.com/watch?v=dQw4w9WgXc", ""),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ\" onload=\"x", ""),
        ("https://www.dailymotion.com/video/x8abc", ""),
        ("javascript:alert(1)//youtu.be/dQw4w9WgXcQ", ""),
        ("https://user@youtu.be/dQw4w9WgXcQ", ""),
    ],
)  # fmt: skip
def test_films_of_known_providers_alone(address: str, frame: str) -> None:
    provider = provider_of(address)
    assert (provider.frame_of(address) if provider else "") == frame
    assert len(PROVIDERS) == 2
    block = FilmBlock()
    value = block.to_python({"url": address, "title": "A film"})
    if frame:
        block.clean(value)
    else:
        with pytest.raises(ValidationError):
            block.clean(value)
        assert "<figure" not in block.render(value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"table_caption": ""}, "caption"),
        ({"table_caption": "  "}, "caption"),
        ({"first_row_is_table_header": False, "first_col_is_header": False, "table_header_choice": "neither"}, "heading"),
        ({"data": [["x"] * 13]}, "12 columns"),
        ({"data": [["x"]] * 201}, "200 rows"),
        ({"data": [["x" * 401]]}, "400 characters"),
    ],
)  # fmt: skip
def test_a_table_that_not_everybody_can_read_is_refused(change, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        DataTable().clean(TABLE | change)
    assert DataTable().clean(TABLE)


@pytest.mark.parametrize(
    "tex",
    [
        "", " ", r"\frac{1", r"1}", r"x^", r"\left( x", r"\unknowncommand x", r"\def\a{\a}\a",
        r"\newcommand{\x}{\x\x}\x", r"\let\a\b", "x" * (MOST + 1), "{" * 900 + "x" + "}" * 900,
        r"\begin{pmatrix}1",
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused_and_says_why(tex: str) -> None:
    with pytest.raises(NotMaths) as refused:
        mathml(tex)
    assert str(refused.value).endswith(".")
    block = MathsBlock()
    with pytest.raises(ValidationError):
        block.clean(block.to_python({"tex": tex or "{", "name": ""}))
    assert "<math" not in block.render(block.to_python({"tex": tex, "name": ""}))


@pytest.mark.parametrize(
    "tex",
    [
        r"E = mc^2", r"\text{</math><script>alert(1)</script>}", r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(//evil.test)}{x}", "a<b \\& c", r"\mathbb{R}^{n \times m}",
        r"\begin{cases} 1 & x > 0 \\ 0 \end{cases}", r"\{ x \}", r"\operatorname{softmax}(QK^\top / \sqrt{d})",
        r"\hat{y} = \arg\max_y p(y \mid x)",
    ],
)  # fmt: skip
def test_a_formula_holds_nothing_but_mathml(tex: str) -> None:
    made = mathml(tex)
    for element in fromstring(made).iter():  # well formed, whatever was typed
        assert element.tag.startswith(
            "{http://www.w3.org/1998/Math/MathML}m"
        ) or element.tag.endswith(("semantics", "annotation", "none"))
        assert not {"href", "style", "onclick", "class", "id"} & set(element.attrib)
    assert fromstring(made).find(".//{*}annotation").text == tex


def test_they_can_be_chosen_wherever_there_is_a_stream() -> None:
    for blocks in (ARTICLE, DETAILS, SECTIONS):
        assert {"image", "table", "film", "maths"} <= {name for name, _ in blocks}


def test_a_published_picture_is_made_before_its_first_reader(
    client, starter, picture, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    """As a worker does on publishing; then the page is shown though the storage is away."""
    sent: list[Any] = []
    monkeypatch.setattr(tasks.make_pictures, "apply_async", lambda args, **_: sent.append(args))
    image = picture
    card = RoadmapItemPage.objects.live().first()
    card.picture = image
    with django_capture_on_commit_callbacks(execute=True):
        card.save_revision().publish()
    assert sent == [(card.pk,)]
    assert not image.renditions.exists()
    tasks.make_pictures(card.pk)
    made = image.renditions.count()
    assert made > 0

    def away(*_: Any, **__: Any) -> None:
        raise AssertionError("asked for the file")

    monkeypatch.setattr("inference.storage.LocalStorage._open", away)
    for page in (card, *card.trail):
        assert client.get(page.url).status_code == 200
    assert image.renditions.count() == made


def test_a_page_without_pictures_makes_none(starter) -> None:
    page = PaperPage.objects.live().first()
    assert services.pictures_make(page.pk) == 0
    assert services.pictures_make(0) == 0
