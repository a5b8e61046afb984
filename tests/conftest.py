"""Fixtures that every room's tests share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import LiveStack
from tests.templates import Made, database_copy, made_once

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
_CHROMIUMS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip


def _absent(what: str, how: str) -> None:
    """Skip loudly, or fail where nothing may be skipped."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is required here. {how}")
    pytest.skip(f"NO {what.upper()}: {how}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part", choices=["fast", "stack"], default=None,
        help="only the tests that need a running stack (web server, worker, browser), or only the others",
    )  # fmt: skip


def _needs_stack(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return "live_stack" in names or bool({"live", "browser"} & set(item.keywords))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser journeys last: while Playwright runs, this thread has an event loop, and Django
    refuses synchronous work under one. The demo's, the longest, first: what runs beside it is over
    when it is."""
    items.sort(key=lambda item: ("browser" in item.keywords, item.path.name != "test_demo.py"))
    part = config.getoption("--part")
    if part:
        left_out = [item for item in items if _needs_stack(item) != (part == "stack")]
        items[:] = [item for item in items if _needs_stack(item) == (part == "stack")]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def browsers() -> "Iterator[Playwright]":
    """What starts browsers."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


def _chromium(browsers: "Playwright", *flags: str) -> "Browser":
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if not found:
        _absent("Chromium", "Install it (Debian: apt-get install chromium) or set CHROMIUM.")
    return browsers.chromium.launch(executable_path=found, args=[*CHROMIUM_FLAGS, *flags])


@pytest.fixture(scope="session")
def chromium(browsers: "Playwright") -> "Iterator[Browser]":
    """A real Chromium, without a GPU."""
    browser = _chromium(browsers)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def chromium_webgpu(browsers: "Playwright", live_stack: LiveStack) -> "Iterator[Browser]":
    """A real Chromium whose WebGPU is drawn by the processor: slow, and the same code path."""
    browser = _chromium(browsers, "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    page = browser.new_page()
    page.goto(f"{live_stack.base_url}/healthz")  # only a secure origin has WebGPU
    offered = page.evaluate("navigator.gpu?.requestAdapter().then((adapter) => Boolean(adapter))")
    page.close()
    if not offered:
        browser.close()
        _absent("WebGPU adapter", "This Chromium has none, not even SwiftShader.")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def node_client() -> Path:
    """The folder with the official Node client installed."""
    folder = Path(__file__).parent / "clients" / "node"
    if not shutil.which("node"):
        _absent("Node", "Install Node.js 18 or newer.")
    if not all((folder / "node_modules" / name).exists() for name in ("moondream", "openai")):
        _absent("Node client", f"Run `npm ci` in {folder.relative_to(Path.cwd())}.")
    return folder


@pytest.fixture(scope="session")
def curl() -> str:
    """curl's path."""
    found = shutil.which("curl")
    if not found:
        _absent("curl", "Install curl.")
    return str(found)


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """A whole running system: its own database, web server and worker."""
    folder = tmp_path_factory.mktemp("live")
    with LiveStack(folder) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _clean_redis(request: pytest.FixtureRequest) -> None:
    """Tests of this process start with an empty queue and cache."""
    if "live" in request.keywords:
        return
    from django.conf import settings

    from inference import stream

    client = stream.client()
    keys = list(client.scan_iter(f"{settings.REDIS_PREFIX}*", count=1000))
    keys = [key for key in keys if not key.startswith(b"live:")]
    if keys:
        client.delete(*keys)


@pytest.fixture(autouse=True)
def _no_connection_left(request: pytest.FixtureRequest) -> None:
    """A test that may not use the database finds no connection that an earlier one left open: giving
    it back would count as using it."""
    if request.node.get_closest_marker("django_db"):
        return
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


_snapshot: dict[str, str] = {}


def _databases_closed() -> str:
    """Close this process's connections to the test database, and return the database's name."""
    from django.db import connections

    connections.close_all()
    for connection in connections.all():
        connection.close_pool()
    return str(connections["default"].settings_dict["NAME"])


def pytest_configure(config: pytest.Config) -> None:
    """What a test with real transactions leaves is not emptied table by table: see below."""
    from django.test import TransactionTestCase

    if "TEST_DATABASE_TEMPLATE" in os.environ:
        TransactionTestCase._fixture_teardown = lambda self: None  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A test with real transactions leaves what it wrote: the next one finds it whole."""
    yield
    marker = item.get_closest_marker("django_db")
    template = _snapshot.get("name") or os.environ.get("TEST_DATABASE_TEMPLATE")
    if nextitem and marker and marker.kwargs.get("transaction") and template:
        database_copy(os.environ["DATABASE_URL"], _databases_closed(), template)


def _is_open() -> bool:
    """Whether a transaction of the code under test is open: the test's own does not count."""
    from django.db import connection

    return any(not block._from_testcase for block in connection.atomic_blocks)


@pytest.fixture(autouse=True)
def _commits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What waits for a commit runs where the code under test commits, as it does outside of tests,
    though the test's own transaction stays open. And no message is sent before that."""
    if "live" in request.keywords:
        yield
        return
    from celery.signals import before_task_publish
    from django.db import connection, transaction

    def run() -> None:
        if connection.in_atomic_block and not connection.needs_rollback and not _is_open():
            waiting, connection.run_on_commit = connection.run_on_commit, []
            for call in (entry[1] for entry in waiting):
                call()

    leave, register = transaction.Atomic.__exit__, transaction.on_commit

    def left(self: transaction.Atomic, *error: Any) -> None:
        leave(self, *error)
        run()

    def on_commit(call: Any, using: Any = None, robust: bool = False) -> None:
        register(call, using, robust)
        run()

    def sent(sender: Any = None, **_: Any) -> None:
        assert not _is_open(), f"{sender} was sent before the transaction committed"

    monkeypatch.setattr(transaction.Atomic, "__exit__", left)
    monkeypatch.setattr(transaction, "on_commit", on_commit)
    before_task_publish.connect(sent, weak=False, dispatch_uid="tests-commits")
    yield
    before_task_publish.disconnect(dispatch_uid="tests-commits")


@pytest.fixture
def tables_wait() -> None:
    """With this, a table that does not hold waits for the test to play the worker."""


@pytest.fixture(autouse=True)
def _tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a worker, tables are made anew as soon as they are queued."""
    if {"live", "browser"} & set(request.keywords) or "tables_wait" in request.fixturenames:
        return
    from leaderboard import services, tasks

    def at_once(args: tuple[int], **_: Any) -> None:
        services.table_rebuild(state_id=args[0])

    monkeypatch.setattr(tasks.rebuild_table, "apply_async", at_once)


@pytest.fixture(scope="session")
def _starter_once(django_db_setup: None, django_db_blocker: Any) -> None:
    """The starter content, committed for all tests that want it: made by one process, copied by others."""
    url = os.environ["DATABASE_URL"]

    def make(made: Made) -> None:
        from research.starter import starter_load

        starter_load(base_url="http://testserver", dev_scenes=8)
        database_copy(url, made.database, _databases_closed())
        shutil.copytree(settings.VAR_DIR, made.files, dirs_exist_ok=True)

    from django.conf import settings

    with django_db_blocker.unblock(), made_once("starter", make) as starter:
        _snapshot["name"] = starter.database
        shutil.copytree(starter.files, settings.VAR_DIR, dirs_exist_ok=True)
        database_copy(url, _databases_closed(), starter.database)


@pytest.fixture
def starter(_starter_once: None, db: None) -> Any:
    """The starter content and the variants; what a test changes is rolled back."""
    from inference.services import variants_sync

    return variants_sync()
