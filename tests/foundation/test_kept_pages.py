"""Pages sent before Django begins: what it would answer, and nothing that is over."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from wagtail.models import PageViewRestriction

from inference import page_cache
from moondream_site import asgi, kept_pages
from moondream_site.handler import Handler
from research.models import StandardPage

pytestmark = pytest.mark.django_db
PAPERS = "/research/papers/"


Sent = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class Site:
    """The application, and how often Django answered."""

    def __init__(self) -> None:
        self.asked = 0
        self.kept = kept_pages.KeptPages(self._django)
        self._handler = Handler()

    async def _django(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await self._handler(scope, receive, send)

    def __call__(self, path: str, method: str = "GET", **headers: str) -> Sent:
        """Ask in a loop of its own. Django answers in a thread of its own, from what is committed."""
        return async_to_sync(self.ask)(path, method, **headers)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Sent:
        raw, _, query = path.partition("?")
        named = {"host": "testserver", **{k.replace("_", "-"): v for k, v in headers.items()}}
        scope = {
            "type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "scheme": "http",
            "query_string": query.encode(), "headers": [(k.lower().encode(), v.encode()) for k, v in named.items()],
            "client": ("203.0.113.9", 1), "server": ("testserver", 80), "http_version": "1.1",
        }  # fmt: skip
        client = ApplicationCommunicator(self.kept, scope)
        await client.send_input({"type": "http.request", "body": b""})
        start = await client.receive_output(20)
        body = b""
        while True:
            part = await client.receive_output(20)
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        await client.wait(20)
        found = {k.decode().lower(): v.decode() for k, v in start["headers"]}
        return start["status"], found, body


@pytest.fixture
def site(starter: Any) -> Site:
    page_cache.forget()
    return Site()


def test_what_is_sent_again_is_what_django_sent(site: Site) -> None:
    first = site(PAPERS)
    assert site.asked == 1
    assert site(PAPERS) == first
    assert site(f"{PAPERS}?page=1&&tag=") == first
    status, headers, body = site(PAPERS, "HEAD")
    assert (status, body) == (200, b"")
    assert headers == first[1]
    assert site.asked == 1
    assert "content-security-policy" in headers
    assert headers["x-content-type-options"] == "nosniff"


def test_who_has_it_is_told_so(site: Site) -> None:
    _, headers, _ = site(PAPERS)
    for tags in (headers["etag"], f'"other", W/{headers["etag"]}', "*"):
        status, told, body = site(PAPERS, if_none_match=tags)
        assert (status, body) == (304, b"")
        assert told["etag"] == headers["etag"]
        assert not {"content-length", "content-type"} & set(told)
    assert (site(PAPERS, if_none_match='"other"'))[0] == 200
    assert site.asked == 1
    assert (site(PAPERS, if_match=headers["etag"]))[0] == 200
    assert site.asked == 1
    assert (site(PAPERS, if_match='"other"'))[0] == 412, "as Django says"
    assert site.asked == 2


@pytest.mark.parametrize(
    "headers",
    [{"cookie": "sessionid=abc"}, {"authorization": "Bearer x"}, {"host": "evil.test"}, {"host": "testserver:81"}],
)  # fmt: skip
def test_who_is_somebody_or_somewhere_else_gets_none(site: Site, headers: Any) -> None:
    site(PAPERS)
    site(PAPERS, **headers)
    assert site.asked == 2
    site("/account/")
    site("/account/")
    assert site.asked == 4, "what Django keeps for nobody is kept for nobody here"


def test_made_up_addresses_take_no_memory(site: Site) -> None:
    site(PAPERS)
    for path in ("?tag=made-up", "?page=77", "?x=1"):
        site(PAPERS + path)
    assert len(site.kept._pages) == 1


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_that_was_restricted_or_published_meanwhile(site: Site) -> None:
    page = StandardPage.objects.get(slug="infrastructure")
    path = "/infrastructure/"
    assert (site(path))[0] == 200
    restriction = PageViewRestriction(page=page, restriction_type="login")
    restriction.save()
    assert (site(path))[0] == 302
    restriction.delete()
    assert (site(path))[0] == 200
    page.headline = "Another headline"
    page.save_revision().publish()
    assert b"Another headline" in (site(path))[2]


def test_what_was_made_before_a_change_is_not_remembered_after_it(site: Site) -> None:
    """The change comes while the page is being made."""
    real = site._handler

    async def meanwhile(scope: Any, receive: Any, send: Any) -> None:
        await real(scope, receive, send)
        await sync_to_async(page_cache.forget)()

    site._handler = meanwhile  # type: ignore[assignment]
    site(PAPERS)
    site(PAPERS)
    assert site.asked == 2


def test_one_that_is_too_old_is_made_anew(site: Site, monkeypatch: Any) -> None:
    site(PAPERS)
    (page,) = site.kept._pages.values()
    monkeypatch.setattr(page_cache.time, "time", lambda: page.kept.until + 1)
    site(PAPERS)
    assert site.asked == 2


def test_one_of_an_earlier_release_is_made_anew(site: Site, monkeypatch: Any) -> None:
    site(PAPERS)
    monkeypatch.setattr(page_cache, "release", lambda: "the next")
    site(PAPERS)
    assert site.asked == 2


def test_a_release_is_known_by_its_templates_and_static_files(
    settings: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    settings.BASE_DIR = tmp_path
    read = page_cache.release.__wrapped__
    template = tmp_path / "templates" / "a.html"
    template.parent.mkdir()
    template.write_text("one")
    releases = [read()]
    template.write_text("two")
    releases.append(read())
    monkeypatch.setattr(page_cache, "staticfiles_storage", SimpleNamespace(manifest_hash="x"))
    releases.append(read())
    assert len(set(releases)) == 3
    assert read() == releases[-1]


def test_without_the_cache_django_answers(site: Site, monkeypatch: Any) -> None:
    site(PAPERS)
    monkeypatch.setattr(kept_pages.TopicVersions, "read", lambda self: asyncio.sleep(0, None))
    assert (site(PAPERS))[0] == 200
    assert site.asked == 2


def test_requests_that_come_together_ask_the_cache_once_more_at_most(site: Site) -> None:
    first = site(PAPERS)
    reads = 0

    async def together() -> list[Sent]:
        versions = kept_pages._versions()
        real = versions._client.mget

        async def mget(keys: list[str]) -> Any:
            nonlocal reads
            reads += 1
            return await real(keys)

        versions._client.mget = mget  # type: ignore[method-assign, assignment]
        return await asyncio.gather(*(site.ask(PAPERS) for _ in range(40)))

    assert async_to_sync(together)() == [first] * 40
    assert 1 <= reads <= 2
    assert site.asked == 1


def test_memory_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(kept_pages, "MEMORY", 25)
    kept = kept_pages.KeptPages(asgi._answer)

    def remember(key: str, body: bytes) -> None:
        here = page_cache.Kept(key, {}, 0, varies=False)
        kept._remember(kept_pages.Page(here, [], body))

    for number in range(5):
        remember(str(number), b"x" * 10)
    remember("4", b"y" * 12)
    assert list(kept._pages) == ["3", "4"]
    assert kept._bytes == 22
