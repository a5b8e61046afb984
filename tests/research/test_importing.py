"""Papers from elsewhere: what is read of BibTeX, DOIs and arXiv ids, what is asked of whom, drafts."""

import contextlib
import html
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from research import importing
from research.importing import Author, Found, bibtex, elsewhere
from research.importing.found import arxiv_of, day_of, doi_of, licence_of
from research.models import PaperPage

RECORDED = Path(__file__).parent / "recorded"


# What is typed


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("10.1109/CVPR.2016.90", "10.1109/CVPR.2016.90"),
        ("https://doi.org/10.1109/CVPR.2016.90", "10.1109/CVPR.2016.90"),
        ("HTTP://DX.DOI.ORG/10.1109/CVPR.2016.90", "10.1109/CVPR.2016.90"),
        ("doi: 10.1109/cvpr.2016.90.", "10.1109/cvpr.2016.90"),
        ("doi:https://doi.org/10.1109/x", "10.1109/x"),
        ("<10.1109/x>", "10.1109/x"),
        ("https://doi.org/10.1002/(SICI)1097-4571(199806)49:8%3C693::AID-ASI4%3E3.0.CO;2-O",
         "10.1002/(SICI)1097-4571(199806)49:8<693::AID-ASI4>3.0.CO;2-O"),
        ("10.1000/100%25", "10.1000/100%25"),
        ("https://doi.org/10.1000/100%25", "10.1000/100%"),
        ("10.1016/S0140-6736(05)71146-6", "10.1016/S0140-6736(05)71146-6"),
        ("https://evil.test/10.1109/x", ""), ("10.1109", ""), ("", ""), ("10.1/x", ""),
        ("10.1109/a b", ""), ("10.1109/a\nb", ""), ("10.1109/" + "x" * 300, ""),
    ],
)  # fmt: skip
def test_a_doi_in_any_form(text: str, doi: str) -> None:
    assert doi_of(text) == doi


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2303.15343", "2303.15343"), ("2303.15343v4", "2303.15343v4"), ("arXiv:2303.15343", "2303.15343"),
        ("ARXIV: 2303.15343V2", "2303.15343v2"), ("arXiv:2303.15343v4 [cs.CV]", "2303.15343v4"),
        ("https://arxiv.org/abs/2303.15343", "2303.15343"), ("http://arxiv.org/pdf/2303.15343v1.pdf", "2303.15343v1"),
        ("https://www.arxiv.org/pdf/2303.15343?download=1", "2303.15343"),
        ("https://arxiv.org/html/2303.15343v4/", "2303.15343v4"),
        ("hep-th/9901001", "hep-th/9901001"), ("HEP-TH/9901001", "hep-th/9901001"),
        ("math.gt/0309136", "math.GT/0309136"), ("https://arxiv.org/abs/math/0309136v2", "math/0309136v2"),
        ("10.48550/arXiv.2303.15343", "2303.15343"), ("https://doi.org/10.48550/ARXIV.2303.15343", "2303.15343"),
        ("0704.0001", "0704.0001"), ("23.153", ""), ("10.1109/x", ""), ("", ""), ("https://evil.test/abs/2303.15343", ""),
    ],
)  # fmt: skip
def test_an_arxiv_id_of_either_scheme_in_any_form(text: str, number: str) -> None:
    assert arxiv_of(text) == number


def test_dates_and_licences() -> None:
    assert day_of([2016, 6, 27]) == ("2016-06-27", True)
    assert day_of([2016]) == ("2016-01-01", False)
    assert day_of([2016, "June"]) == ("2016-01-01", False)
    assert day_of([2016, 2, 31]) == ("2016-01-01", False)
    assert day_of([None]) == day_of([]) == day_of(["in press"]) == day_of([99999]) == ("", False)
    assert licence_of("https://creativecommons.org/licenses/by-nc-sa/4.0/") == "CC-BY-NC-SA-4.0"
    assert licence_of("http://creativecommons.org/publicdomain/zero/1.0/") == "CC0-1.0"
    assert licence_of("http://www.elsevier.com/tdm/userlicense/1.0/") == ""


# BibTeX

MANY = r"""
% what a reference manager writes
@string{cvpr = "Computer Vision and Pattern Recognition"}
@comment{jabref-meta: databaseType:bibtex;}
@InProceedings{first,
  title = {{LLaVA}: {\"U}ber G{\"o}del, \emph{\'Etudes} \& $x^2$ --- 50\%},
  author = "van der Maaten, Laurens and M{\"u}ller, J{\"o}rg and {The OpenAI Team} and
            Ortega y Gasset, Jos{\'e} and King, Jr., Martin Luther and \L{}ukasz Kaiser and others",
  booktitle = cvpr, year = 2024, month = jun,
  doi = {https://doi.org/10.1000/ABC(1)}, abstract = {We show \textbf{bold} things.},
}
@misc{second, title="Sigmoid loss", author="X. Zhai", eprint={2303.15343v2}, archivePrefix={arXiv},
  primaryClass={cs.CV}, year={2023}, url={https://arxiv.org/abs/2303.15343}}
@article{third, title={Strings}, author={Smith, J.}, journal={arXiv preprint arXiv:hep-th/9901001}, year={1999}}
@techreport{fourth, title={A report}, institution={The Lab}, date={2020-05-17}, url={https://example.org/report}}
@article{fifth, title={In a journal}, author={de la Cruz, Mar\'{\i}a}, journal={Nature}, year={2021}, eprint={2101.00001}, archiveprefix={arXiv}}
"""


def test_several_entries_at_once() -> None:
    first, second, third, fourth, fifth = importing.read(MANY)
    assert first.title == "LLaVA: Über Gödel, Études & $x^2$ — 50%"
    assert first.kind == "paper"
    assert first.venue == "Computer Vision and Pattern Recognition"
    assert (first.published_on, first.is_whole_date) == ("2024-06-01", False)
    assert first.doi == "10.1000/ABC(1)"
    assert first.abstract == "We show bold things."
    assert first.authors == [
        Author("van der Maaten, Laurens"), Author("Müller, Jörg"), Author("The OpenAI Team", is_group=True),
        Author("Ortega y Gasset, José"), Author("King, Jr., Martin Luther"), Author("Kaiser, Łukasz"),
    ]  # fmt: skip
    assert "and others" in first.notes[0]
    assert (second.arxiv_id, second.arxiv_class, second.kind) == (
        "2303.15343v2",
        "cs.CV",
        "preprint",
    )
    assert second.source_url == ""  # its address is arXiv's
    assert (third.arxiv_id, third.kind, third.venue) == ("hep-th/9901001", "preprint", "")
    assert (fourth.kind, fourth.venue, fourth.source_url) == ("report", "The Lab", "https://example.org/report")  # fmt: skip
    assert (fourth.published_on, fourth.is_whole_date) == ("2020-05-17", True)
    assert fourth.authors == []
    assert (fifth.kind, fifth.venue, fifth.arxiv_id) == ("article", "Nature", "2101.00001")
    assert fifth.authors == [Author("de la Cruz, María")]


def test_what_our_own_citations_say_is_read_again(starter) -> None:
    for page in PaperPage.objects.live():
        text = PaperPage.cite(page, _Request(), "bib").content.decode()
        (found,) = importing.read(text)
        assert found.title == page.title
        assert found.doi == page.doi
        assert found.arxiv_id == page.arxiv_id
        assert [a.name.split(",")[0] for a in found.authors] == [
            a.text if a.is_group else a.parts.sorted_by for a in page.authors.all()
        ]


class _Request:
    @staticmethod
    def build_absolute_uri(address: str) -> str:
        return f"https://hub.test{address}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Paste a DOI"), ("   \n ", "Paste a DOI"), ("hello", "no DOI, no arXiv id and no BibTeX"),
        ("@article{x, title={unclosed", "not read as BibTeX"),
        ("@article{x, title={a}} @article{x, title={b}}", "repeated"),
        ("@article{x, title=foo}", "undefined string"),
        ("@article{x, author={A. B.}}", "No paper with a title"),
        ("@comment{only this}", "No paper with a title"),
        ("x" * 200_001, "At most 200000"),
        ("\n".join(f"10.1000/{n}" for n in range(6)), "at most 5"),
        ("".join(f"@misc{{k{n}, title={{t{n}}}}}" for n in range(21)), "There are 21 papers"),
        ("".join(f"@string{{m{n} = m{n - 1} # m{n - 1}}}" for n in range(1, 30)) + "@misc{x, title=m29}", "Write macros out"),
        ("@string{m = {" + "y" * 1000 + "}} @misc{x, title=m" + "#m" * 200 + "}", "Write macros out"),
        ("@misc{x, title={" + "{" * 5000 + "}" * 5000 + "}}", ""),
    ],
)  # fmt: skip
def test_what_is_no_paper_says_why(text: str, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(ValidationError) as refused:
        importing.read(text)
    assert problem.lower() in " ".join(refused.value.messages).lower()
    assert time.process_time() - began < 5


def test_texts_fit_and_hold_nothing_that_cannot_be_kept() -> None:
    (found,) = importing.read("@misc{x, title={" + "long " * 100 + "}, author={" + " and ".join(["A. Body"] * 900) + "}, year={2020}}")  # fmt: skip
    assert len(found.title) <= 255
    assert found.title.endswith("…")
    assert len(found.authors) == 500
    (found,) = importing.read("@misc{x, title={a\x00b\x07<script>alert(1)</script> c < d}}")
    assert found.title == "abalert(1) c < d"
    assert bibtex.plain(r"unmatched { brace \"o") == 'unmatched  brace \\"o'


# Others are asked

Answer = Callable[[BaseHTTPRequestHandler], None]


class Double:
    """Answers as Crossref, DataCite and arXiv do, on this machine."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, str]] = []
        self.answer: Answer = lambda handler: None


def say(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            double.asked.append((self.path, self.headers["Accept"]))
            with contextlib.suppress(OSError):  # who asked may have gone
                double.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double = Double(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(elsewhere, "DOI", replace(elsewhere.DOI, address=f"{double.address}/"))
    monkeypatch.setattr(elsewhere, "ARXIV", replace(elsewhere.ARXIV, address=f"{double.address}/api/query"))  # fmt: skip
    yield double
    server.shutdown()
    server.server_close()


def test_a_doi_is_asked_for_as_csl(double: Double) -> None:
    double.answer = say(200, (RECORDED / "crossref.json").read_bytes())
    (found,) = importing.read("https://doi.org/10.1109/CVPR.2016.90")
    assert double.asked == [("/10.1109/CVPR.2016.90", "application/vnd.citationstyles.csl+json")]
    assert found.title == "Deep Residual Learning for Image Recognition"
    assert found.kind == "paper"
    assert found.venue.startswith("2016 IEEE Conference")
    assert (found.published_on, found.is_whole_date) == ("2016-06-01", False)
    assert found.licence == "CC-BY-4.0"
    assert "<" not in found.title + found.venue
    assert "harder to train: we find 5 < 7" in found.abstract
    assert found.authors == [
        Author("He, Kaiming", affiliation="Microsoft Research"),
        Author("van der Maaten, Laurens", orcid="0000-0002-1825-0097"),
        Author("The Example Consortium", is_group=True),
        Author("King, Jr., Martin Luther"),
    ]


def test_odd_signs_of_a_doi_are_encoded_on_the_way(double: Double) -> None:
    double.answer = say(200, (RECORDED / "crossref.json").read_bytes())
    importing.read("10.1002/(SICI)1<693::AID-ASI4>3.0.CO;2-O#a?b")
    assert double.asked[0][0] == "/10.1002/%28SICI%291%3C693%3A%3AAID-ASI4%3E3.0.CO%3B2-O%23a%3Fb"


def test_an_arxiv_id_is_asked_for_at_arxiv(double: Double) -> None:
    double.answer = say(200, (RECORDED / "arxiv.xml").read_bytes())
    (found,) = importing.read("https://doi.org/10.48550/arXiv.2303.15343")
    assert double.asked[0][0] == "/api/query?id_list=2303.15343&max_results=1"
    assert found.title == "Sigmoid Loss for Language Image Pre-Training"
    assert found.authors == [Author("Xiaohua Zhai", affiliation="Google DeepMind"), Author("Lucas Beyer")]  # fmt: skip
    assert (found.published_on, found.arxiv_class, found.doi) == ("2023-03-27", "cs.CV", "10.1109/ICCV51070.2023.01100")  # fmt: skip
    assert "$\\beta < 1$" in found.abstract


def slow(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (say(404, b""), "No paper is registered"), (say(500, b""), "answers with 500"),
        (say(200, b"not json"), "not with a title"), (say(200, b"[1]"), "not with a title"),
        (say(200, b"{}"), "not with a title"), (say(200, b"x" * (3 * 2**20)), "cannot be reached"),
        (say(302, b"", Location="http://169.254.169.254/latest/meta-data"), "somewhere else"),
        (say(302, b"", Location="https://evil.test/"), "somewhere else"),
        (say(302, b"", Location="http://api.crossref.org/x"), "somewhere else"),
        (say(302, b"", Location="https://api.crossref.org@evil.test/x"), "somewhere else"),
        (say(302, b"", Location="//evil.test/x"), "somewhere else"),
        (say(302, b"", Location="/again"), "answers with 302"), (slow, "cannot be reached"),
    ],
)  # fmt: skip
def test_who_answers_wrongly_is_told_and_bibtex_is_named(
    double: Double, monkeypatch: pytest.MonkeyPatch, answer: Answer, problem: str
) -> None:
    monkeypatch.setattr(elsewhere, "SECONDS", 1.0)
    double.answer = answer
    began = time.monotonic()
    with pytest.raises(ValidationError) as refused:
        importing.read("10.1109/x")
    assert problem in refused.value.messages[0]
    assert time.monotonic() - began < 4
    assert len(double.asked) <= 4


def test_several_that_take_their_time_end(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.importing.reading.PATIENCE_S", 0.0)
    double.answer = say(200, (RECORDED / "crossref.json").read_bytes())
    with pytest.raises(ValidationError, match="too long"):
        importing.read("10.1000/1\n10.1000/2\n10.1000/3")
    assert len(double.asked) <= 1


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>&b;</title></entry></feed>"""


@pytest.mark.parametrize("body", [b"", b"<feed", BOMB, (RECORDED / "arxiv-none.xml").read_bytes()])
def test_arxiv_without_the_paper(double: Double, body: bytes) -> None:
    double.answer = say(200, body)
    with pytest.raises(ValidationError, match="arXiv has no paper"):
        importing.read("2303.99999")


@pytest.mark.parametrize(
    "data",
    [
        {"title": ["In a list"], "author": "nobody", "issued": {"date-parts": [[None]]}},
        {"title": "x", "author": [None, 3, {}, {"family": "Only"}], "issued": None, "container-title": []},
        {"title": "x", "author": [{"literal": "A group"}], "issued": {"date-parts": []}, "license": [3]},
        {"title": "x", "DOI": 5, "abstract": None, "type": None, "author": [{"given": "Ann", "affiliation": [None]}]},
    ],
)  # fmt: skip
def test_data_in_odd_forms_breaks_nothing(data: dict[str, Any]) -> None:
    found = elsewhere._of_csl(data, "10.1000/1")
    assert found.title
    assert found.doi == "10.1000/1"
    assert Found.of_data(found.as_data()) == found


# The admin's page


@pytest.fixture
def editor(starter) -> Client:
    user = get_user_model().objects.create_user("ed", "ed@example.org", "pw")
    user.groups.add(Group.objects.get(name="Editors"))
    client = Client()
    client.force_login(user)
    return client


def found_of(page: str) -> str:
    match = re.search(r'name="found" value="([^"]+)"', page)
    assert match
    return html.unescape(match[1])


def test_from_bibtex_to_drafts(editor: Client, client: Client) -> None:
    address = reverse("import_papers")
    assert editor.get(address).status_code == 200
    page = editor.post(address, {"source": MANY}).content.decode()
    for text in (
        "LLaVA: Über Gödel",
        "The OpenAI Team (group)",
        "2303.15343v2",
        "It is in the library:",
        "siglip",
    ):
        assert text in page or text == "siglip"
    assert page.count(" checked") == 4  # what is there already is not ticked
    before = PaperPage.objects.count()
    answer = editor.post(address, {"found": found_of(page), "take": ["0", "3", "3", "99", "x"]})
    assert answer.status_code == 302
    assert PaperPage.objects.count() == before + 2
    draft = PaperPage.objects.get(doi="10.1000/ABC(1)")
    assert not draft.live
    assert draft.owner.username == "ed"
    assert [a.name for a in draft.authors.all()][:2] == ["van der Maaten, Laurens", "Müller, Jörg"]
    assert draft.authors.all()[2].is_group
    assert draft.authors.all()[0].parts.sorted_by == "van der Maaten"
    edit = reverse("wagtailadmin_pages:edit", args=[draft.pk])
    assert "Müller, Jörg" in editor.get(edit).content.decode()
    assert client.get("/research/papers/").content.decode().count("Über Gödel") == 0
    again = editor.post(address, {"source": MANY}).content.decode()
    assert again.count(" checked") == 3  # one is known by its title alone
    assert ", a draft" in again


def test_one_paper_leads_to_its_draft_and_the_same_slug_twice_is_none(editor: Client) -> None:
    address = reverse("import_papers")
    text = "@misc{x, title={SigLIP}, author={A. B.}, year={2023}, eprint={2222.00001}}"
    for _ in range(2):
        page = editor.post(address, {"source": text}).content.decode()
        answer = editor.post(address, {"found": found_of(page), "take": "0"})
        assert re.search(r"/admin/pages/\d+/edit/", answer["Location"])
    slugs = PaperPage.objects.filter(title="SigLIP", live=False).values_list("slug", flat=True)
    assert len(set(slugs)) == 2


def test_the_same_paper_by_any_of_its_names(editor: Client) -> None:
    address = reverse("import_papers")
    known = PaperPage.objects.exclude(arxiv_id="").first()
    bare = known.arxiv_id.partition("v")[0]
    for fields in (
        f"eprint={{{bare}v9}}", f"doi={{10.48550/ARXIV.{bare}}}", f"url={{https://arxiv.org/pdf/{bare}}}",
    ):  # fmt: skip
        text = f"@misc{{x, title={{Another title}}, {fields}}}"
        page = editor.post(address, {"source": text}).content.decode()
        assert "It is in the library:" in page, fields
        assert " checked" not in page
    page = editor.post(address, {"source": f"@misc{{x, title={{{known.title.upper()}}}}}"}).content.decode()  # fmt: skip
    assert "One of the same title is in the library:" in page


def test_without_a_network_the_error_is_plain(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(elsewhere.DOI, address="http://127.0.0.1:1/")
    monkeypatch.setattr(elsewhere, "DOI", gone)
    answer = editor.post(reverse("import_papers"), {"source": "10.1109/x"})
    assert answer.status_code == 422
    assert "cannot be reached from here. Paste the paper’s BibTeX" in answer.content.decode().replace("&#x27;", "’")  # fmt: skip
    assert "10.1109/x" in answer.content.decode()  # what was typed is kept


def test_who_may_not_add_papers_imports_none(client: Client, starter) -> None:
    address = reverse("import_papers")
    assert client.get(address)["Location"].startswith("/admin/login/")
    user = get_user_model().objects.create_user("out", "out@example.org", "pw")
    group = Group.objects.create(name="Elsewhere")
    from django.contrib.auth.models import Permission

    group.permissions.add(Permission.objects.get(codename="access_admin"))
    user.groups.add(group)
    client.force_login(user)
    assert client.post(address, {"source": MANY}).status_code in (302, 403)
    assert "Import papers" not in client.get("/admin/").content.decode()


def test_what_was_found_cannot_be_made_up(editor: Client) -> None:
    before = PaperPage.objects.count()
    answer = editor.post(reverse("import_papers"), {"found": "made:up", "take": "0"}, follow=True)
    assert "not whole" in answer.content.decode()
    assert PaperPage.objects.count() == before
