"""Rate limits: who is counted, for what, and what they are told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.http import HttpRequest
from django.test import Client, RequestFactory
from limits import RateLimitItemPerSecond

from inference.circuit_breaker import CircuitBreaker
from inference.models import Job
from moondream_site import limits
from pricing import services, throttling
from pricing.auth import ClientIdentity
from pricing.callers import caller_of
from pricing.throttling import Rate, rate_read, wait_s

CHAT: dict[str, Any] = {"skill": "caption", "sample": "night"}


def ask(**headers: str) -> Any:
    return Client().post("/v1/jobs", CHAT, **headers)


def key(name: str = "ada", **user: Any) -> str:
    owner, _ = get_user_model().objects.get_or_create(username=name, defaults=user)
    return services.key_make(user=owner, name="k", scopes=["infer", "submit"])[1]


@pytest.mark.parametrize(
    "rotate",
    [
        lambda n: {"HTTP_X_FORWARDED_FOR": f"203.0.113.{n}"},
        lambda n: {"HTTP_X_FORWARDED_FOR": f"203.0.113.{n}, 198.51.100.1"},
        lambda n: {"HTTP_X_REAL_IP": f"203.0.113.{n}", "HTTP_FORWARDED": f"for=203.0.113.{n}"},
        lambda n: {"HTTP_AUTHORIZATION": f"Bearer t{n}"},
        lambda n: {"HTTP_X_MOONDREAM_AUTH": f"t{n}"},
        lambda n: {"REMOTE_ADDR": f"2001:db8:1:2:{n}::{n}"},
        lambda n: {"REMOTE_ADDR": ("::ffff:203.0.113.7", "203.0.113.7")[n % 2]},
        lambda n: {"HTTP_IDEMPOTENCY_KEY": f"k{n}"},
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_nothing_a_caller_makes_up_gives_an_allowance(starter, settings, rotate) -> None:
    settings.ANON_RATE = "3/m"
    answers = [ask(**rotate(n)) for n in range(6)]
    assert [a.status_code for a in answers] == [202] * 3 + [429] * 3
    for refused in answers[3:]:
        assert refused.json()["error"]["code"] == "rate_limited"
        assert 1 <= int(refused["Retry-After"]) <= 120
    assert Job.objects.count() == 3
    assert ask(REMOTE_ADDR="192.0.2.99").status_code == 202


@pytest.mark.django_db
def test_behind_a_trusted_proxy_each_client_has_its_own(starter, settings) -> None:
    settings.ANON_RATE, settings.TRUSTED_PROXIES = "2/m", 1
    for client in ("203.0.113.1", "203.0.113.2"):
        codes = [ask(HTTP_X_FORWARDED_FOR=f"1.1.1.{n}, {client}").status_code for n in range(4)]
        assert codes == [202, 202, 429, 429]


@pytest.mark.django_db
def test_an_account_has_a_limit_of_its_own_however_many_keys(starter, settings) -> None:
    settings.ANON_RATE, settings.KEY_RATE = "2/m", "4/m"
    keys = [key() for _ in range(3)]
    codes = [ask(HTTP_AUTHORIZATION=f"Bearer {keys[n % 3]}").status_code for n in range(6)]
    assert codes == [202] * 4 + [429] * 2
    # Neither the address's allowance nor another account's is used up.
    assert ask().status_code == 202
    assert ask(HTTP_AUTHORIZATION=f"Bearer {key('bob')}").status_code == 202


@pytest.mark.django_db
def test_ten_accounts_do_not_give_ten_allowances_for_ever(starter, settings) -> None:
    settings.KEY_RATE = "1/m"
    codes = [ask(HTTP_AUTHORIZATION=f"Bearer {key(f'u{n}')}").status_code for n in range(10)]
    assert codes == [202] * 8 + [429] * 2


@pytest.mark.django_db
def test_a_revoked_key_counts_as_its_address(starter, settings) -> None:
    settings.ANON_RATE, settings.KEY_RATE = "1/m", "5/m"
    secret = key()
    user = get_user_model().objects.get()
    services.key_revoke(user=user, key_id=user.api_keys.get().pk)
    codes = [ask(HTTP_AUTHORIZATION=f"Bearer {secret}").status_code for _ in range(2)]
    assert codes == [401, 429]
    made_up = (f"Bearer mdh_{n:08x}_{'x' * 43}" for n in range(3))
    assert [ask(HTTP_AUTHORIZATION=one).status_code for one in made_up] == [429] * 3


@pytest.mark.django_db
def test_made_up_tokens_give_no_places_in_the_queue(starter, settings) -> None:
    settings.INFERENCE_MAX_WAITING_PER_CALLER = 2
    codes = [ask(HTTP_X_MOONDREAM_AUTH=f"t{n}").status_code for n in range(4)]
    assert codes == [202, 202, 429, 429]
    # Nor does the page's own form.
    form = Client().post("/playground/", CHAT)
    assert form.status_code == 429
    assert int(form["Retry-After"]) >= 1


@pytest.mark.django_db
def test_callers_behind_one_address_are_not_handed_each_others_jobs(starter) -> None:
    same = {"HTTP_IDEMPOTENCY_KEY": "k"}
    first = ask(HTTP_X_MOONDREAM_AUTH="a", **same).json()["id"]
    assert ask(HTTP_X_MOONDREAM_AUTH="a", **same).json()["id"] == first
    others = [
        ask(HTTP_X_MOONDREAM_AUTH="b", **same), ask(**same),
        ask(REMOTE_ADDR="2001:db8::1", **same), ask(REMOTE_ADDR="2001:db8::2", **same),
    ]  # fmt: skip
    ids = {answer.json()["id"] for answer in others}
    assert len(ids) == 4
    assert first not in ids


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/search/?q=model", 2), ("/feeds/papers.rss", 1), ("/feeds/papers.json", 1), ("/sitemap.xml", 2),
        ("/llms.txt", 1), ("/playground/prompts/?skill=query", 1), ("/leaderboards/compare/", 2),
        ("/api/leaderboards/export.jsonl", 20), ("/api/leaderboards/world-vqa/entries", 4),
        ("/api/leaderboards/world-vqa/splits/dev/items", 4), ("/og/99999.png", 2),
    ],
)  # fmt: skip
def test_costly_reading_is_limited(starter, settings, path, cost) -> None:
    settings.ANON_RATE = f"{2 * cost}/m"  # twice that of reading: four requests
    codes = []
    for n in range(6):
        mark = "&" if "?" in path else "?"
        codes.append(Client().get(f"{path}{mark}made-up={n}").status_code)
        if codes[-1] == 429:
            break
    assert codes[-1] == 429
    assert len(codes) == 5


@pytest.mark.django_db
def test_any_page_is_limited_and_health_is_not(starter, settings) -> None:
    settings.ANON_RATE = "1/m"
    codes = [Client().get(f"/leaderboards/?made-up={n}").status_code for n in range(11)]
    assert codes == [200] * 10 + [429]
    page = Client().get("/leaderboards/?made-up=x")
    assert "Too many requests" in page.content.decode()
    assert int(page["Retry-After"]) >= 1
    assert Client().get("/healthz").status_code == 200
    problem = Client().get("/api/challenges")
    assert problem["Content-Type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:moondream:problem:rate_limited"


@pytest.mark.django_db
def test_opening_streams_is_limited(starter, settings) -> None:
    settings.ANON_RATE = "1/m"
    path = "/v1/jobs/00000000-0000-0000-0000-000000000000/events"
    assert [Client().get(path).status_code for _ in range(5)] == [404] * 4 + [429]


def test_every_name_in_the_table_is_an_address_of_the_site() -> None:
    from django.urls import get_resolver

    def names(patterns: Any, before: str = "") -> set[str]:
        found = set()
        for p in patterns:
            if hasattr(p, "url_patterns"):
                space = f"{before}{p.namespace}:" if p.namespace else before
                found |= names(p.url_patterns, space)
            else:
                found.add(f"{before}{p.name}")
        return found

    known = names(get_resolver().url_patterns) | {"readyz"}
    assert {*limits.READING, *limits.FREE, *limits.CHEAP, *limits.WORKING, *limits.TUNING} <= known
    # Whoever adds a stream has to place it.
    assert {n for n in known if n.endswith("_events")} <= set(limits.READING)


def test_many_at_once_get_no_more() -> None:
    item, start = RateLimitItemPerSecond(20, 60), threading.Barrier(16)

    def some(_: int) -> int:
        start.wait()
        return sum(throttling.hit(item, "at once") == 0 for _ in range(10))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(some, range(16))) == 20


def test_while_the_counters_are_away_each_process_counts(monkeypatch) -> None:
    def away(*_: Any, **__: Any) -> bool:
        tries.append(1)
        raise redis.exceptions.ConnectionError("refused")

    tries: list[int] = []
    monkeypatch.setattr(throttling, "_breaker", CircuitBreaker())
    monkeypatch.setattr(throttling._shared(), "hit", away)
    item = RateLimitItemPerSecond(3, 60)
    waits = [throttling.hit(item, "away", str(id(tries))) for _ in range(5)]
    assert [w == 0 for w in waits] == [True] * 3 + [False] * 2
    assert len(tries) == 1  # and does not knock again for each request


@pytest.mark.parametrize(
    ("window", "cost", "wait"),
    [
        ((0, 0.0, 10, 90.0), 1, 30.0),  # a moment after it has become the window before
        ((0, 0.0, 10, 90.0), 10, 84.0),
        ((20, 30.0, 0, 90.0), 1, 0.001),
        ((10, 60.0, 0, 119.0), 1, 0.001),
        ((10, 60.0, 5, 119.0), 1, 30.0),
    ],
)
def test_the_wait_is_until_there_is_room(window: Any, cost: int, wait: float) -> None:
    told = wait_s(window, Rate(10, 60), cost)
    assert told == pytest.approx(wait, abs=0.002)


@pytest.mark.parametrize("text", ["", "60", "60/", "/m", "0/m", "-1/m", "60/x", "a/m", "60/0s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no rate|invalid literal"):
        rate_read(text)


def test_rates_are_read() -> None:
    assert rate_read("60/m") == (60, 60)
    assert rate_read("10/30s") == (10, 30)


@pytest.mark.django_db
def test_the_caller_is_looked_up_once(django_assert_num_queries) -> None:
    secret = key()
    request = RequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {secret}")
    ClientIdentity()(
        RequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {secret}")
    )  # its use is noted
    with django_assert_num_queries(1):
        assert ClientIdentity()(request) == caller_of(request).digest
    odd = RequestFactory().get("/", HTTP_X_MOONDREAM_AUTH="mdh_\x00\udcff_x", REMOTE_ADDR="")
    with django_assert_num_queries(0):
        assert caller_of(odd).name == "network:unknown"


@pytest.mark.django_db
def test_a_refused_form_is_not_read(starter, settings, monkeypatch) -> None:
    """A form of 50 MB is not worth parsing for somebody who is over the limit."""
    settings.ANON_RATE = "1/d"

    def read(self: Any) -> None:
        pytest.fail("the form was read")

    client, path = Client(), "/leaderboards/world-vqa/submit/"
    file = ContentFile(b"{}", name="p.jsonl")
    for _ in range(100):
        if client.post(path, {"file": file}).status_code == 429:
            break
        file.seek(0)
    monkeypatch.setattr(HttpRequest, "_load_post_and_files", read)
    file.seek(0)
    assert client.post(path, {"file": file}).status_code == 429
