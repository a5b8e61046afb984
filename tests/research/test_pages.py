"""Pages from the CMS: starter content, editing, the reference made from the schema."""

from typing import Any

import pytest
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client
from wagtail.models import Page, Site

from inference.models import VariantMeasurement
from inference.world.samples import SAMPLES
from research import blocks, selectors
from research.models import HomePage, Navigation, StandardPage
from research.starter import starter_load
from research.starter.loading import Loaded

pytestmark = pytest.mark.django_db
PATHS = ("/", "/product/", "/research/", "/pricing/", "/docs/")


@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_in_few_queries(
    client: Client, starter, path: str, django_assert_max_num_queries
) -> None:
    client.get(path)
    with django_assert_max_num_queries(9):
        answer = client.get(path)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert text.count("<h1") == 1
    for label in ("Product", "Playground", "Research", "Pricing", "Docs", "Status"):
        assert label in text
    assert 'aria-current="page"' in text or path == "/"


def test_pages_carry_a_content_security_policy(client: Client, starter) -> None:
    policy = client.get("/")["Content-Security-Policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in f"{policy};"
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy


def test_loading_twice_changes_nothing(starter) -> None:
    pages, links = Page.objects.count(), Navigation.objects.first().links.count()
    assert starter_load(base_url="http://testserver") == Loaded()
    assert (Page.objects.count(), Navigation.objects.first().links.count()) == (pages, links)


def test_an_editors_words_stay(client: Client, starter) -> None:
    page = StandardPage.objects.get(slug="pricing")
    page.headline = "An editor's <headline>."
    page.save_revision().publish()
    call_command("load_starter", verbosity=0)
    text = client.get("/pricing/").content.decode()
    assert "An editor&#x27;s &lt;headline&gt;." in text


def test_a_deleted_page_comes_back_and_the_rest_stays(starter) -> None:
    StandardPage.objects.get(slug="product").delete()
    assert starter_load(base_url="http://testserver") == Loaded(made=["Product"])


def test_navigation_is_editable(client: Client, starter) -> None:
    link = Navigation.for_site(Site.objects.get(is_default_site=True)).links.first()
    link.label = "What it is"
    link.save()
    assert "What it is" in client.get("/").content.decode()


def test_figures_are_the_models_own_and_say_so(client: Client, starter) -> None:
    figures = [selectors.answer_figure(s.slug, "detect") for s in SAMPLES]
    assert all(figures)
    for figure in figures:
        assert figure.width in (600, 800)
        for box in figure.boxes:
            assert 0 <= box["x"] <= 1000
            assert box["width"] > 0
    text = client.get("/product/").content.decode()
    assert "computed on" in text
    assert selectors.answer_figure("nothing", "detect") is None


def test_variants_show_what_was_measured_and_nothing_else(client: Client, starter) -> None:
    assert "Not measured on this machine yet" in client.get("/product/").content.decode()
    for n, variant in enumerate(starter):
        VariantMeasurement.objects.create(
            variant=variant, revision="1", hardware="A test machine", device="cpu", threads=1,
            dtype="bfloat16", weight_bytes=11_000_000 // (n + 1), peak_bytes=500_000_000, load_ms=1,
            encode_ms=12.34, first_token_ms=5.6, tokens_per_s=300,
            scores={"vqa": 0.976, "detect_f1": 0.95} if n == 0 else {},
        )  # fmt: skip
    text = client.get("/product/").content.decode()
    for figure in ("A test machine", "12.3 ms", "97.6%", "0.950", "measured"):
        assert figure in text


def test_the_reference_is_the_schema(client: Client, starter) -> None:
    schema = client.get("/api/openapi.json").json()
    text = client.get("/docs/api/").content.decode()
    for path in schema["paths"]:
        assert path.replace("{", "{") in text
    operations = {o["id"]: o for o in selectors.api_reference()}
    assert operations["query"]["method"] == "POST"
    names = {f["name"]: f for f in operations["query"]["fields"]}
    assert names["question"]["required"]
    assert names["stream"]["default"] is False


def test_every_section_has_a_preview(client: Client, starter) -> None:
    home = HomePage.objects.first()
    sections: list[tuple[str, Any]] = list(blocks.SECTIONS)
    for name, block in sections:
        assert block.meta.description, name
        value = block.get_preview_value()
        assert render_to_string(block.meta.template, block.get_context(value)).strip(), name
    assert home.body


def test_unknown_address(client: Client, starter) -> None:
    answer = client.get("/nowhere/")
    assert answer.status_code == 404
    assert b"<h1" in answer.content


def test_the_styleguide_is_for_developers_only(client: Client, settings, starter) -> None:
    settings.DEBUG = False
    assert client.get("/styleguide/").status_code == 404
