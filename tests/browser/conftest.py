"""A browser on a running stack that fails on any console error."""

import importlib.util
import json
import os
import re
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.live import LiveStack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

# A machine that runs everything at once is slow at times.
expect.set_options(timeout=30_000)

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1" / "axe.min.js"
SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"


def picture(page: "Page", name: str, *, full_page: bool = False) -> None:
    """A screenshot for the README, when asked for: SCREENSHOTS=1 bin/test tests/browser."""
    if os.environ.get("SCREENSHOTS") == "1":
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full_page)


def shoot(page: "Page", name: str) -> None:
    """A full-length screenshot to look at, when a folder is named: SHOTS=folder bin/test tests/browser."""
    folder = os.environ.get("SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        file = re.sub(r"[^\w-]", "_", name)
        page.screenshot(path=Path(folder) / f"{file}.png", full_page=True)


def axe(page: "Page") -> list[str]:
    """Violations of WCAG 2.2 AA and best practices, as short lines."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then(r => r.violations)")
    return [
        f"{v['id']}: {node['target']} {node['failureSummary']}"
        for v in found
        for node in v["nodes"]
    ]


# Chromium's own remark where a page asks for WebGPU and there is none: asking is the way to know.
_REMARKS = ("No available adapters.",)


def quiet(page: "Page") -> list[str]:
    """Collects what a page complains about."""
    complaints: list[str] = []

    def hear(message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning") and message.text not in _REMARKS:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"uncaught {error}"))
    return complaints


@contextmanager
def visit(browser: "Browser", base_url: str) -> "Iterator[BrowserContext]":
    """A visitor's profile of its own."""
    context = browser.new_context(
        base_url=base_url, viewport={"width": 1440, "height": 900},
        permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce",
    )  # fmt: skip
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def context(chromium: "Browser", live_stack: LiveStack) -> "Iterator[BrowserContext]":
    with visit(chromium, live_stack.base_url) as context:
        yield context


@pytest.fixture
def page(context: "BrowserContext") -> "Iterator[Page]":
    page = context.new_page()
    complaints = quiet(page)
    yield page
    assert complaints == []


def answer_instead(page: "Page", result: dict[str, Any]) -> None:
    """Let every job of a page end with this result, whatever the worker makes of it."""
    names = ("queue_ms", "encode_ms", "first_token_ms", "decode_ms", "total_ms")
    data = {"result": result, "timings": dict.fromkeys(names, 1.0), "confidence": 0.9}
    body = f"event: result\ndata: {json.dumps(data)}\n\n"
    page.route(
        "**/v1/jobs/*/events",
        lambda route: route.fulfill(content_type="text/event-stream", body=body),
    )


@pytest.fixture
def playground(page: "Page") -> "Page":
    page.goto("/playground/")
    return page


@pytest.fixture
def run(page: "Page") -> Callable[[], str]:
    """Run what is entered and wait for its end; the answer's text comes back."""

    def press() -> str:
        page.click("[data-run]")
        expect(page.locator("[data-moon-label]")).to_have_text(
            re.compile("Done|Failed|Cancelled"), timeout=30_000
        )
        expect(page.locator("[data-run]")).to_be_enabled()
        return page.inner_text("[data-output]")

    return press


def hub() -> types.ModuleType:
    """The client module, as a notebook would import it."""
    from leaderboard.views import HUB_CLIENT

    spec = importlib.util.spec_from_file_location("moondream_hub", HUB_CLIENT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def signed_in(page: "Page") -> "Page":
    """A new account each time, signed in."""
    name = re.sub(r"\W", "", str(id(page)))
    page.goto("/account/signup/")
    page.get_by_label("Email").fill(f"r{name}@example.org")
    page.get_by_label("Password", exact=True).fill("orange tractor 9")
    page.get_by_label("Password (again)").fill("orange tractor 9")
    page.get_by_role("button", name="Sign Up").click()
    page.wait_for_url("**/account/")
    return page


def key_of(page: "Page") -> str:
    page.goto("/account/keys/")
    page.get_by_label("Name").fill("notebook")
    page.get_by_role("button", name="Make a key").click()
    text = page.locator("[data-code] code").inner_text()
    assert text.startswith("mdh_")
    return text
