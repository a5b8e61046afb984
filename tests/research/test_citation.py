"""Citations read back by other programs: names in parts, DOIs and texts of any form."""

import json
import re
from typing import Any
from urllib.parse import unquote

import bibtexparser
import pytest
import rispy
import yaml
from bibtexparser.customization import splitname
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.test import Client
from wagtail.documents import get_document_model

from research import citation
from research.models import Author, PaperPage
from research.names import Name, read_name
from research.validators import validate_doi

HERE = "http://testserver/research/papers/x/"
NAMES = {
    "Laurens van der Maaten": Name("Maaten", "Laurens", "van der"),
    "van der Maaten, Laurens": Name("Maaten", "Laurens", "van der"),
    "Maaten, Laurens van der": Name("Maaten", "Laurens", "van der"),
    "Maria de la Cruz": Name("Cruz", "Maria", "de la"),
    "Ana Maria Silva dos Santos": Name("Santos", "Ana Maria Silva", "dos"),
    "Jean de La Fontaine": Name("La Fontaine", "Jean", "de"),
    "Martin Luther King Jr.": Name("King", "Martin Luther", "", "Jr."),
    "Martin Luther King, Jr.": Name("King", "Martin Luther", "", "Jr."),
    "King, Jr., Martin Luther": Name("King", "Martin Luther", "", "Jr."),
    "King, Martin Luther, Jr.": Name("King", "Martin Luther", "", "Jr."),
    "Robert Downey III": Name("Downey", "Robert", "", "III"),
    "Karel van den Berg Jr": Name("Berg", "Karel", "van den", "Jr"),
    "Luc Van Gool": Name("Van Gool", "Luc"),
    "Allie Del Giorno": Name("Del Giorno", "Allie"),
    "García Márquez, Gabriel": Name("García Márquez", "Gabriel"),
    "Plato": Name("Plato"), "张伟": Name("张伟"), "van Gogh": Name("Gogh", "", "van"),
    "bell hooks": Name("hooks", "bell"), "Y. K. Li": Name("Li", "Y. K."), "Le Hou": Name("Hou", "Le"),
    "Jean d'Alembert": Name("d'Alembert", "Jean"), "Tsung-Yi  Lin": Name("Lin", "Tsung-Yi"),
    "Jr.": Name("Jr."),
    "José Ortega y Gasset": Name("Ortega y Gasset", "José"),
    "Antoni Gaudí i Cornet": Name("Gaudí i Cornet", "Antoni"),
    "Jane Roe, PhD": Name("Roe", "Jane", "", "PhD"),
    "Roe, Jane, M.D.": Name("Roe", "Jane", "", "M.D."),
}  # fmt: skip
DOIS = [
    "10.1002/(SICI)1097-4571(199806)49:8<693::AID-ASI4>3.0.CO;2-O",
    "10.1016/S0167-9473(98)00044-2", "10.1000/456%789", "10.1000/a#b?c&d+e", "10.1000.10/x[1]_y", "10.5555/日本",
]  # fmt: skip


@pytest.mark.parametrize("typed", NAMES)
def test_a_name_has_its_parts(typed: str) -> None:
    assert read_name(typed) == NAMES[typed]
    assert read_name(read_name(typed).text).sorted_by == NAMES[typed].sorted_by or "," in typed


def paper(*authors: Author, **fields: Any) -> PaperPage:
    page = PaperPage(title="A title", published_on="2020-01-02", abstract="x", slug="x", url_path="/x/", **fields)  # fmt: skip
    page.clean_fields(
        exclude=["path", "depth", "content_type", "locale", "licence", "arxiv_id", "doi"]
    )
    page.authors.set(authors)
    return page


def forms(page: PaperPage) -> tuple[Any, Any, Any, Any]:
    (bib,) = bibtexparser.loads(citation.bibtex(page, HERE)).entries
    (ris,) = rispy.loads(citation.ris(page, HERE))
    (csl,) = json.loads(citation.csl(page, HERE))
    return bib, ris, csl, yaml.safe_load(citation.cff(page, HERE))


@pytest.mark.django_db
@pytest.mark.parametrize("typed", NAMES)
def test_each_form_has_the_same_parts(typed: str) -> None:
    name = NAMES[typed]
    bib, ris, csl, cff = forms(paper(Author(name=typed)))
    read = splitname(bib["author"])
    if name.given:
        assert (
            " ".join(read["von"] + read["last"]).replace("{", "").replace("}", "") == name.sorted_by
        )
        assert " ".join(read["first"]) == name.given
        assert " ".join(read["jr"]) == name.suffix
    want = [name.sorted_by, name.given, name.suffix]
    assert ris["authors"] == [", ".join(filter(None, want))]
    (person,) = csl["author"]
    parts = (person["family"], person.get("given", ""), person.get("non-dropping-particle", ""), person.get("suffix", ""))  # fmt: skip
    assert Name(*parts) == name
    (human,) = cff["authors"]
    assert human["family-names"] == name.family
    assert human.get("given-names", "") == name.given
    assert human.get("name-particle", "") == name.particle
    assert human.get("name-suffix", "") == name.suffix


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["World Health Organization", "Research and Development, Inc.", "ACM", "R&D of van"]
)
def test_a_group_is_one_name(name: str) -> None:
    page = paper(Author(name=name, is_group=True), Author(name="Ada Lovelace"))
    bib, ris, csl, cff = forms(page)
    group, _, person = bib["author"].rpartition(" and ")
    assert group.replace(r"\&", "&") == f"{{{name}}}"
    assert person == "Ada Lovelace"
    assert ris["authors"] == [name, "Lovelace, Ada"]
    assert csl["author"][0] == {"literal": name}
    assert cff["authors"][0] == {"name": name}
    assert page.byline == f"{name} and Lovelace"


@pytest.mark.django_db
@pytest.mark.parametrize("doi", DOIS)
def test_a_doi_of_any_form_stays_itself(client: Client, starter, doi: str) -> None:
    validate_doi(doi)
    page = PaperPage.objects.get(slug="qlora")
    page.doi, page.arxiv_id, page.source_url = doi, "", ""
    page.save_revision().publish()
    bib, ris, csl, cff = forms(page)
    assert bib["doi"] == ris["doi"] == csl["DOI"] == doi
    assert not re.search(r'[<>"#?%\s]', page.doi_link.replace("%", "", page.doi_link.count("%")))
    assert unquote(page.doi_link) == f"https://doi.org/{doi}"
    assert bib["url"] == csl["URL"] == cff["url"] == page.doi_link
    assert ris["urls"] == [page.doi_link]
    # The schema of CITATION.cff knows fewer.
    assert cff.get("doi", doi) == doi
    assert ("doi" in cff) == bool(re.fullmatch(r"10\.\d+(\.\d+)?/[\w:/;\-.()\[\]\\]+", doi, re.A))
    text = client.get(page.url).content.decode()
    assert f'href="{page.doi_link.replace("&", "&amp;").replace(chr(39), "&#x27;")}"' in text


@pytest.mark.parametrize(
    "doi",
    [
        "10.1/x",
        "doi:10.1000/x",
        "10.1000/",
        "10.1000/a b",
        "10.1000/a\x07",
        "10.1000/a\u200b",
        "https://doi.org/10.1000/x",
    ],
)
def test_what_is_no_doi_is_told_so(doi: str) -> None:
    with pytest.raises(ValidationError, match="bare DOI"):
        validate_doi(doi)


@pytest.mark.django_db
def test_a_pdf_of_ours_has_its_whole_address(starter) -> None:
    page = PaperPage.objects.get(slug="qlora")
    page.pdf = get_document_model().objects.create(
        title="x", file=ContentFile(b"%PDF-1.7", name="x.pdf")
    )
    page.source_url = "https://example.org/a;b?c=d;e"
    _, ris, _, _ = forms(page)
    assert ris["urls"] == ["https://example.org/a%3Bb?c=d%3Be"]
    assert ris["file_attachments1"] == f"http://testserver{page.pdf.url}"
    for write in (citation.bibtex, citation.ris, citation.csl, citation.cff):
        assert not re.search(r"[{\s\"']/(documents|research)", write(page, HERE))


@pytest.mark.django_db
@pytest.mark.parametrize("title", [
    "Odd } { braces", "{Whole}", "Two\nlines\r\nTY  - JOUR", "Back\\slash ~ ^ _ & % $ #", "Bell\x07 \x1bhere", "Élan Ødegård ÉCOLE",
])  # fmt: skip
def test_no_text_breaks_out_of_its_field(title: str) -> None:
    page = paper(Author(name="Ada Lovelace"), doi="10.1000/x")
    page.title = page.venue = page.abstract = title
    bib, ris, csl, cff = forms(page)
    assert set(bib) == {
        "ENTRYTYPE",
        "ID",
        "title",
        "author",
        "year",
        "month",
        "howpublished",
        "doi",
        "url",
    }
    plain = " ".join(re.sub(r"[\x00-\x1f]", lambda c: " " if c[0] in "\r\n" else "", title).split())
    assert ris["title"] == plain
    assert ris["type_of_reference"] == "GEN"
    assert csl["title"] == cff["title"] == title
    assert bib["ID"].isalnum()
    assert bib["ID"].isascii()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "title", "key"),
    [("张伟", "视觉", "zhangwei2020shijue"), ("Piotr Dollár", "The Łódź test", "dollar2020lodz"),
     ("Søren Ødegård", "Of all", "odegard2020paper"), ("Laurens van der Maaten", "Visualizing data", "maaten2020visualizing")],
)  # fmt: skip
def test_a_key_is_of_ascii_letters(name: str, title: str, key: str) -> None:
    page = paper(Author(name=name))
    page.title = title
    assert citation.citation_key(page) == key
