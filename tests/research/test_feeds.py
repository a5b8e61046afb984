"""Feeds: what a reader's program takes from them, whatever an editor typed."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest
from django.test import Client
from django.utils import timezone
from wagtail.models import Page

from research import feeds
from research.models import LegalPage, PaperPage, PapersPage, ReleasePage
from research.selectors import plain

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"
ODD = "Bits\x0b < 4 & 5 > 3: \x1b[31m<b>bold</b> &amp; \x0c\ufffe\uffff 日本 \U0001f319 a]]>b"
CLEAN = "Bits < 4 & 5 > 3: [31m<b>bold</b> &amp;  日本 \U0001f319 a]]>b"


def published(title: str, summary: str = "x", day: date = date(1999, 1, 2)) -> PaperPage:
    page = PaperPage(
        title=title, slug=f"made-{PaperPage.objects.count()}", abstract=summary, published_on=day,
        is_sample=True,
    )  # fmt: skip
    PapersPage.objects.get().add_child(instance=page)
    page.save_revision().publish()
    return page


@pytest.mark.parametrize("form", ["rss", "atom"])
def test_any_text_is_the_same_text_in_xml(client: Client, starter, form: str) -> None:
    page = published(ODD, ODD)
    raw = client.get(f"/feeds/papers.{form}").content
    root = ElementTree.fromstring(raw)
    read = feedparser.parse(raw)
    assert not read.bozo
    entry = read.entries[0]
    assert entry.id == f"urn:uuid:{page.translation_key}"
    # An RSS title is text by the specification, though feedparser guesses by its looks.
    item = root.find("channel/item") if form == "rss" else root.find(f"{ATOM}entry")
    assert item is not None
    if form == "rss":
        assert item.findtext("title") == CLEAN
        # A description is HTML: what shows it as such shows the text.
        assert unescape(str(item.findtext("description"))) == CLEAN
        assert "<" not in str(item.findtext("description"))
    else:
        summary = item.find(f"{ATOM}summary")
        assert summary is not None
        assert summary.get("type") == "text"
        assert summary.text == CLEAN == item.findtext(f"{ATOM}title")
        assert entry.summary_detail.type == "text/plain"
    body = client.get("/feeds/papers.json").json()["items"][0]
    assert body["content_text"] == body["title"] == CLEAN


@pytest.mark.parametrize(
    "code", [*range(0x20), 0x7F, 0x85, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600]
)
def test_only_what_xml_holds_stays(code: int) -> None:
    kept = feeds.xml_text(f"a{chr(code)}b")
    ElementTree.fromstring(f"<a>{kept}</a>".encode())
    assert (len(kept) == 3) == (code in {0x9, 0xA, 0xD, 0x7F, 0x85, 0x1F600})


def test_an_old_paper_added_today_comes_first(client: Client, starter) -> None:
    for number in range(feeds.COUNT):
        published(f"New paper {number}", day=date(2026, 6, 1))
    old = published("A paper of 1999")
    for kind in ("papers", "all"):
        items = client.get(f"/feeds/{kind}.json").json()["items"]
        assert len(items) == feeds.COUNT
        assert items[0]["title"] == old.title
        assert datetime.fromisoformat(items[0]["date_published"]).date() == timezone.now().date()
        days = [item["date_published"] for item in items]
        assert days == sorted(days, reverse=True)


def test_a_change_is_an_update_and_no_new_entry(client: Client, starter) -> None:
    page = published("Changed later")
    came = timezone.now() - timedelta(days=30)
    Page.objects.filter(pk=page.pk).update(first_published_at=came)
    page.refresh_from_db()
    before = client.get("/feeds/papers.atom")
    page.title = "Changed now"
    page.save_revision().publish()
    after = client.get("/feeds/papers.atom", headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    entry = next(e for e in feedparser.parse(after.content).entries if e.title == "Changed now")
    assert entry.published.startswith(came.strftime("%Y-%m-%dT%H:%M"))
    assert datetime.fromisoformat(entry.updated).date() == timezone.now().date()


def test_a_page_without_a_revision_has_its_own_day(client: Client, starter) -> None:
    page = PaperPage(title="Bare", slug="bare", abstract="x", published_on=date(2001, 2, 3), is_sample=True)  # fmt: skip
    PapersPage.objects.get().add_child(instance=page)
    Page.objects.filter(pk=page.pk).update(
        first_published_at=None, last_published_at=None, latest_revision_created_at=None
    )
    page.refresh_from_db()
    assert feeds.appeared_at(page) == datetime(2001, 2, 3, tzinfo=UTC)
    assert client.get("/feeds/all.rss").status_code == 200


def test_drafts_and_what_was_taken_back_are_in_no_feed(client: Client, starter) -> None:
    draft = published("Hidden words")
    draft.unpublish()
    live = published("Seen words")
    live.title = "Draft words"
    live.save_revision()
    for form in ("rss", "atom", "json"):
        text = client.get(f"/feeds/all.{form}").content.decode()
        assert "Seen words" in text
        assert "Hidden words" not in text
        assert "Draft words" not in text


RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.mark.parametrize("kind", feeds.KINDS)
def test_atom_keeps_rfc_4287(client: Client, starter, kind: str) -> None:
    answer = client.get(f"/feeds/{kind}.atom")
    assert answer["Content-Type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)

    def one(parent: Any, name: str) -> str:
        found = parent.findall(f"{ATOM}{name}")
        assert len(found) == 1, (kind, name)
        return str(found[0].text)

    assert one(feed, "id") == f"http://localhost:8000/feeds/{kind}.atom"
    assert one(feed, "title")
    assert RFC3339.fullmatch(one(feed, "updated"))
    assert feed.find(f"{ATOM}author/{ATOM}name") is not None
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links["self"] == f"http://testserver/feeds/{kind}.atom"
    ids = set()
    for entry in feed.findall(f"{ATOM}entry"):
        ids.add(one(entry, "id"))
        assert one(entry, "title")
        assert one(entry, "published") <= one(entry, "updated")
        assert all(RFC3339.fullmatch(one(entry, name)) for name in ("published", "updated"))
        (link,) = entry.findall(f"{ATOM}link")
        assert link.get("rel") == "alternate"
        assert str(link.get("href")).startswith("http://testserver/")
    assert len(ids) == len(feed.findall(f"{ATOM}entry"))


@pytest.mark.parametrize("kind", feeds.KINDS)
def test_rss_and_json_keep_their_rules(client: Client, starter, kind: str) -> None:
    answer = client.get(f"/feeds/{kind}.rss")
    rss = ElementTree.fromstring(answer.content)
    assert (rss.tag, rss.get("version")) == ("rss", "2.0")
    (channel,) = rss
    assert all(channel.findtext(name) for name in ("title", "link", "description"))
    for item in channel.findall("item"):
        guid = item.find("guid")
        assert guid is not None
        assert guid.get("isPermaLink") == "false"
        assert str(item.findtext("link")).startswith("http://testserver/")
        datetime.strptime(str(item.findtext("pubDate")), "%a, %d %b %Y %H:%M:%S %z")
    feed = json.loads(client.get(f"/feeds/{kind}.json").content)
    assert feed["feed_url"] == f"http://testserver/feeds/{kind}.json"
    for entry in feed["items"]:
        assert isinstance(entry["id"], str)
        assert isinstance(entry["content_text"], str)
        assert all(RFC3339.fullmatch(entry[name]) for name in ("date_published", "date_modified"))
        assert entry["url"].startswith("http://testserver/")


@pytest.mark.parametrize("kind", feeds.KINDS)
@pytest.mark.parametrize("form", ["rss", "atom", "json"])
def test_who_has_it_already_is_told_so(client: Client, starter, kind: str, form: str) -> None:
    address = f"/feeds/{kind}.{form}"
    first = client.get(address)
    if form != "json":
        assert not feedparser.parse(first.content).bozo
    conditions = [{"If-None-Match": first["ETag"]}]
    if first.has_header("Last-Modified"):  # there is nothing in it yet otherwise
        conditions.append({"If-Modified-Since": first["Last-Modified"]})
    assert len(conditions) == 2 or kind == "leaderboards"
    for sent in conditions:
        again = client.get(address, headers=sent)
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
    old = {"If-Modified-Since": "Fri, 31 Dec 1999 23:59:59 GMT"}
    assert client.get(address, headers=old).status_code == 200


@pytest.mark.parametrize(
    ("page", "kinds"),
    [("/", ["all"]), ("/research/papers/", ["all", "papers"]), ("/research/releases/", ["all", "releases"]),
     ("/research/challenges/", ["all", "challenges"]), ("/research/notebooks/", ["all", "notebooks"]),
     ("/leaderboards/", ["all", "leaderboards"])],
)  # fmt: skip
def test_pages_name_their_feeds(client: Client, starter, page: str, kinds: list[str]) -> None:
    head = client.get(page).content.decode().partition("</head>")[0]
    links = re.findall(
        r'<link rel="alternate" type="([^"]+)" title="[^"]+" href="(/feeds/[^"]+)">', head
    )
    assert [address for _, address in links] == [
        f"/feeds/{kind}.{form}" for kind in kinds for form in ("rss", "atom", "json")
    ]
    for kind, address in links:
        assert client.get(address)["Content-Type"].startswith(kind)


def test_the_words_of_html_are_read(starter) -> None:
    assert plain("<p>Q<b>LoRA</b> &amp; a &lt; b</p><p>next<br/>line</p>", 99) == (
        "QLoRA & a < b next line"
    )
    release = ReleasePage(body="<p>Faster &amp; <b>smaller</b>: 4&nbsp;bits</p>")
    assert release.summary == "Faster & smaller: 4 bits"
    assert LegalPage(body="<h2>A</h2><p>B &lt;C&gt;</p>").summary == "A B <C>"
