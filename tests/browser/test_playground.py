"""The playground as a visitor uses it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from inference.world.samples import SAMPLE_DIR, SAMPLES
from tests import heic
from tests.browser.conftest import answer_instead, axe, picture, quiet, shoot
from tests.images import encode
from tests.live import LiveStack

pytestmark = [pytest.mark.live, pytest.mark.browser]
Run = Callable[[], str]
NIGHT = SAMPLE_DIR / "night.webp"


def test_a_visitor_asks_in_three_clicks(playground: Page, run: Run) -> None:
    answer = run()
    assert "star" in answer
    for label in ("Queue", "Encode", "First token", "Decode", "Total"):
        row = playground.locator(".timing__list div", has_text=label)
        assert re.search(r"\d.*ms|reused|\d s", row.inner_text())
    playground.click("summary:has-text('Confidence')")
    assert 0 < float(playground.inner_text("[data-confidence]")) <= 1
    expect(playground.locator("[data-live]")).to_contain_text("Answer: ")
    expect(playground.get_by_text("What this model knows.")).to_be_visible()


def test_text_streams_in(playground: Page) -> None:
    playground.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => seen.push(document.querySelector('[data-output]').textContent))
            .observe(document.querySelector('[data-output]'), {childList: true, characterData: true, subtree: true});
    }""")
    playground.select_option("[name=length]", "long")
    playground.click("[data-run]")
    expect(playground.locator("[data-moon-label]")).to_have_text("Done")
    seen = [text for text in playground.evaluate("seen") if text]
    assert len(set(seen)) > 5
    assert all(b.startswith(a) for a, b in pairwise(seen))


def test_boxes_are_drawn_where_the_answer_says(playground: Page, run: Run) -> None:
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    assert run().endswith("for “stars”.")
    boxes = playground.locator("[data-overlay] rect.pg-mark")
    result = playground.evaluate("JSON.parse(document.querySelector('[data-json]').textContent)")
    objects = result["result"]["objects"]
    assert boxes.count() == len(objects) > 0
    frame = playground.locator("[data-preview]").bounding_box()
    drawn = boxes.first.bounding_box()
    assert frame
    assert drawn
    first = objects[0]
    assert drawn["x"] == pytest.approx(frame["x"] + first["x_min"] * frame["width"], abs=4)
    assert drawn["y"] == pytest.approx(frame["y"] + first["y_min"] * frame["height"], abs=4)
    expect(playground.locator("[data-overlay]")).to_have_attribute(
        "aria-label", re.compile("found for stars")
    )
    legend = playground.locator("[data-legend-list] button").first
    legend.focus()
    expect(playground.locator(".pg-found.is-on")).to_have_count(1)
    picture(playground, "playground")


def test_points_and_nothing_found(playground: Page, run: Run) -> None:
    playground.click("#tab-point")
    playground.fill("[name=object]", "triangle")
    run()
    assert playground.locator("[data-overlay] ellipse.pg-mark").count() >= 1
    playground.fill("[name=object]", "orange heart")
    if "No “orange heart” found." in run():
        assert playground.locator("[data-overlay] *").count() == 0


def test_upload(playground: Page, run: Run) -> None:
    playground.set_input_files("[data-file]", NIGHT)
    expect(playground.locator("[name=sample]:checked")).to_have_count(0)
    assert "star" in run()
    # The second question sends no bytes again, and the worker reuses the encoding.
    playground.click("#tab-query")
    playground.fill("[name=question]", "What color is the background?")
    with playground.expect_request("**/v1/jobs") as request:
        answer = run()
    assert "image_id" in (request.value.post_data or "")
    assert answer == "black"
    assert "reused" in playground.inner_text("[data-timing-list]")


def _hand_over(page: Page, kind: str) -> None:
    """Drop or paste a file, as the browser's own event."""
    data = list(NIGHT.read_bytes())
    page.evaluate(
        """([bytes, kind]) => {
            const file = new File([new Uint8Array(bytes)], 'dropped.webp', {type: 'image/webp'});
            const transfer = new DataTransfer();
            transfer.items.add(file);
            const target = kind === 'beside' ? document.querySelector('footer') : document.querySelector('[data-drop]');
            const event = kind !== 'paste'
                ? new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: transfer})
                : new ClipboardEvent('paste', {bubbles: true, cancelable: true, clipboardData: transfer});
            target.dispatchEvent(event);
        }""",
        [data, kind],
    )


@pytest.mark.parametrize("kind", ["drop", "beside", "paste"])
def test_drop_and_paste(playground: Page, run: Run, kind: str) -> None:
    playground.click("[data-remove]")
    expect(playground.locator("[data-empty]")).to_be_visible()
    _hand_over(playground, kind)
    expect(playground.locator("[data-preview]")).to_have_attribute(
        "alt", re.compile("dropped.webp")
    )
    assert "star" in run()


def test_a_picture_of_the_page_itself_is_not_dropped(playground: Page) -> None:
    playground.locator(".pg-sample img").nth(3).drag_to(playground.locator("[data-drop]"))
    expect(playground.locator("[name=sample]:checked")).to_have_value("night")


def test_a_reload_keeps_the_upload_and_a_long_prompt(playground: Page, run: Run) -> None:
    question = "What color is the background? " * 30
    playground.set_input_files("[data-file]", NIGHT)
    playground.click("#tab-query")
    playground.fill("[name=question]", question)
    expect(playground).to_have_url(re.compile("skill=query"))
    playground.wait_for_function("sessionStorage.getItem('playground-upload')")
    playground.reload()
    expect(playground.locator("[data-preview]")).to_have_attribute("alt", re.compile("night.webp"))
    expect(playground.locator("[name=question]")).to_have_value(question)
    expect(playground.locator("[name=sample]:checked")).to_have_count(0)
    playground.fill("[name=question]", "What color is the background?")
    assert run() == "black"
    # What was removed is not brought back.
    playground.click("[data-remove]")
    playground.wait_for_function("!sessionStorage.getItem('playground-upload')")
    playground.reload()
    expect(playground.locator("[name=sample]:checked")).to_have_value("night")
    assert playground.evaluate("caches.open('playground-uploads').then((c) => c.keys()).then((k) => k.length)") == 0  # fmt: skip


def test_on_a_phone_the_answer_comes_into_view(playground: Page, run: Run) -> None:
    playground.set_viewport_size({"width": 390, "height": 844})
    run()
    expect(playground.locator("[data-output]")).to_be_in_viewport()
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    run()
    expect(playground.locator("[data-overlay]")).to_be_in_viewport(ratio=0.9)
    expect(playground.locator("[data-legend-list]")).to_be_in_viewport()


def test_a_prompt_to_try_brings_a_scene_it_fits(playground: Page, run: Run) -> None:
    playground.click("#tab-query")
    playground.get_by_role("button", name="What does the sign say?", exact=True).click()
    expect(playground.locator("[name=sample]:checked")).to_have_value("moon")
    assert run() == "MOON"
    # It fits the scene that is there, or is asked about the visitor's own.
    playground.check("[name=sample][value=number]", force=True)
    playground.get_by_role("button", name="What does the sign say?", exact=True).click()
    expect(playground.locator("[name=sample]:checked")).to_have_value("number")
    playground.set_input_files("[data-file]", NIGHT)
    playground.get_by_role("button", name="How many gaps are there?", exact=True).click()
    expect(playground.locator("[name=sample]:checked")).to_have_count(0)
    expect(playground.locator("[name=question]")).to_have_value("How many gaps are there?")


def test_the_log_has_one_clock(playground: Page, run: Run) -> None:
    run()
    playground.click("summary:has-text('Log')")
    times = [int(text.split()[0]) for text in playground.locator("[data-log] time").all_inner_texts()]  # fmt: skip
    assert len(times) > 3
    assert times == sorted(times)


@pytest.mark.parametrize("kind", ["heic", "tiff"])
def test_what_the_browser_cannot_show_the_server_does(
    playground: Page, run: Run, kind: str
) -> None:
    file = {"name": f"photo.{kind}", "mimeType": f"image/{kind}", "buffer": _unshowable(kind)}
    with playground.expect_response("**/playground/preview/") as preview:
        playground.set_input_files("[data-file]", file)  # type: ignore[arg-type]
    assert preview.value.status == 200
    shown = playground.locator("[data-preview]")
    expect(shown).to_be_visible()
    playground.wait_for_function("document.querySelector('[data-preview]').naturalWidth > 0")
    expect(playground.locator("[data-preview-note]")).to_be_hidden()
    shoot(playground, f"preview {kind} 1440")
    playground.set_viewport_size({"width": 390, "height": 844})
    shoot(playground, f"preview {kind} 390")
    # It is not sent again.
    with playground.expect_request("**/v1/jobs") as asked:
        run()
    assert "image_id" in (asked.value.post_data or "")


def _unshowable(kind: str) -> bytes:
    if kind == "heic":
        return heic.grid((200, 60, 40), 4, 3)
    return encode(Image.open(NIGHT).convert("L"), "TIFF")


def test_a_damaged_file_is_told_when_it_is_chosen(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/playground/")
    data = _unshowable("tiff")[:900]
    page.set_input_files("[data-file]", {"name": "a.tif", "mimeType": "image/tiff", "buffer": data})
    expect(page.locator("[data-error-message]")).to_have_text(
        "The image file is damaged or incomplete."
    )
    expect(page.locator("[data-empty]")).to_be_visible()


def test_a_file_stays_here_for_the_model_in_the_browser(playground: Page) -> None:
    playground.select_option("[data-variant]", "browser")
    sent: list[str] = []
    playground.on(
        "request", lambda request: sent.append(request.url) if request.method == "POST" else None
    )
    file = {"name": "a.tif", "mimeType": "image/tiff", "buffer": _unshowable("tiff")}
    playground.set_input_files("[data-file]", file)  # type: ignore[arg-type]
    expect(playground.locator("[data-preview-note]")).to_have_text(
        "This browser cannot show the file."
    )
    shoot(playground, "preview none 1440")
    playground.click("[data-run]")
    expect(playground.locator("[data-error-message]")).to_have_text(
        "This browser cannot read the file."
    )
    assert sent == []
    # Another variant may see it.
    with playground.expect_response("**/playground/preview/"):
        playground.select_option("[data-variant]", index=0)
    expect(playground.locator("[data-preview]")).to_be_visible()


@pytest.mark.parametrize("skill", ["caption", "query"])
def test_an_empty_answer_is_said_to_be_one(playground: Page, run: Run, skill: str) -> None:
    name = "caption" if skill == "caption" else "answer"
    answer_instead(playground, {name: " "})
    playground.click(f"#tab-{skill}")
    assert run() == "The model gave an empty answer."
    expect(playground.locator("[data-live]")).to_contain_text("The model gave an empty answer.")
    expect(playground.locator("[data-history-list]")).to_contain_text("empty answer")
    shoot(playground, f"empty {skill} 1440")
    playground.set_viewport_size({"width": 390, "height": 844})
    shoot(playground, f"empty {skill} 390")


def test_every_sample_has_prompts_that_answer(playground: Page, run: Run) -> None:
    for sample in SAMPLES:
        playground.check(f"[name=sample][value={sample.slug}]", force=True)
        playground.click("#tab-query")
        assert playground.input_value("[name=question]") == sample.prompts["query"]
        assert run()


def test_cancel(playground: Page, live_stack: LiveStack) -> None:
    # The worker is away, so that there is time to change one's mind.
    live_stack.kill_worker()
    try:
        playground.click("[data-run]")
        expect(playground.locator("[data-moon-label]")).to_have_text("Waiting for a worker")
        playground.keyboard.press("Escape")
        expect(playground.locator("[data-moon-label]")).to_have_text("Cancelled")
        expect(playground.locator("[data-run]")).to_be_enabled()
        expect(playground.locator("[data-live]")).to_have_text("Cancelled.")
        playground.click("[data-run]")
        playground.click("[data-cancel]")
        expect(playground.locator("[data-moon-label]")).to_have_text("Cancelled")
    finally:
        live_stack.bring_back_worker()


def test_a_lost_connection_resumes(playground: Page, context: BrowserContext, run: Run) -> None:
    cut: list[int] = []

    def once(route) -> None:  # type: ignore[no-untyped-def]
        if cut:
            route.continue_()
        else:
            cut.append(1)
            body = ": stream\nretry: 50\n\n"
            route.fulfill(status=200, content_type="text/event-stream", body=body)

    context.route("**/v1/jobs/*/events", once)
    assert "star" in run()
    playground.click("summary:has-text('Log')")
    expect(playground.locator("[data-log]")).to_contain_text("resuming")


def test_variants(playground: Page, run: Run) -> None:
    playground.click("#tab-query")
    playground.fill("[name=question]", "What color is the background?")
    for variant in ("moondream-embedded-int8", "moondream-embedded-nf4"):
        playground.select_option("[data-variant]", variant)
        assert run() == "black"
        json = playground.evaluate("JSON.parse(document.querySelector('[data-json]').textContent)")
        assert json["variant"] == variant


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"", "empty"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("notes.txt", b"hello", "not an image"),
        ("big.png", bytes(21 * 1024 * 1024), "larger than 20 MB"),
    ],
)
def test_files_that_are_no_image_are_said_at_once(
    playground: Page, tmp_path, name, data, message
) -> None:
    if len(data) > 2**20:  # by its path: handed over in a message it takes half a minute
        (tmp_path / name).write_bytes(data)
        playground.set_input_files("[data-file]", tmp_path / name)
    else:
        playground.set_input_files("[data-file]", {"name": name, "mimeType": "", "buffer": data})
    if name == "notes.txt":  # without a type only the server can tell
        playground.click("[data-run]")
    expect(playground.locator("[data-error]")).to_contain_text(message)


def test_what_the_server_refuses_keeps_everything(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/playground/")
    page.click("#tab-query")
    page.fill("[name=question]", "How many?")
    thin = encode(Image.new("RGB", (3000, 10)))
    page.set_input_files(
        "[data-file]", {"name": "thin.png", "mimeType": "image/png", "buffer": thin}
    )
    page.click("[data-run]")
    expect(page.locator("[data-error]")).to_contain_text("too long and thin")
    expect(page.locator("[name=question]")).to_have_value("How many?")
    page.set_input_files("[data-file]", NIGHT)
    expect(page.locator("[data-error]")).to_be_hidden()
    page.click("[data-run]")
    expect(page.locator("[data-moon-label]")).to_have_text("Done")


def test_an_empty_prompt_is_a_field_error(playground: Page) -> None:
    playground.click("#tab-detect")
    playground.fill("[name=object]", "")
    playground.click("[data-run]")
    expect(playground.locator("[name=object]")).to_be_focused()
    expect(playground.locator("[name=object]")).to_have_attribute("aria-invalid", "true")
    expect(playground.locator("[data-prompt-error]")).to_have_text("Say what to look for.")


def test_offline_is_said_and_can_be_tried_again(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/playground/")
    context.set_offline(offline=True)
    page.click("[data-run]")
    expect(page.locator("[data-error]")).to_contain_text("cannot be reached")
    context.set_offline(offline=False)
    page.click("[data-retry]")
    expect(page.locator("[data-moon-label]")).to_have_text("Done")


def test_by_keyboard_alone(playground: Page) -> None:
    playground.focus("#tab-caption")
    playground.keyboard.press("ArrowRight")
    expect(playground.locator("#tab-query")).to_be_focused()
    expect(playground.locator("#tab-query")).to_have_attribute("aria-selected", "true")
    playground.keyboard.press("End")
    expect(playground.locator("#tab-point")).to_be_focused()
    playground.keyboard.press("Home")
    playground.keyboard.press("ArrowRight")
    for _ in range(12):
        playground.keyboard.press("Tab")
        if playground.evaluate("document.activeElement.name") == "question":
            break
    playground.keyboard.press("ControlOrMeta+a")
    playground.keyboard.type("What color is the background?")
    playground.keyboard.press("Control+Enter")
    expect(playground.locator("[data-output]")).to_have_text("black")


def test_the_address_is_a_permalink(playground: Page, context: BrowserContext) -> None:
    playground.check("[name=sample][value=crosses]", force=True)
    playground.click("#tab-detect")
    playground.fill("[name=object]", "purple star & more")
    playground.select_option("[data-variant]", "moondream-embedded-int8")
    other = context.new_page()
    other.goto(playground.url)
    expect(other.locator("[name=sample]:checked")).to_have_value("crosses")
    expect(other.locator("#tab-detect")).to_have_attribute("aria-selected", "true")
    expect(other.locator("[name=object]")).to_have_value("purple star & more")
    expect(other.locator("[data-variant]")).to_have_value("moondream-embedded-int8")


def test_history_brings_back_an_answer(playground: Page, run: Run) -> None:
    first = run()
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    run()
    entries = playground.locator("[data-history-list] button")
    expect(entries).to_have_count(2)
    entries.nth(1).click()
    expect(playground.locator("[data-output]")).to_have_text(first)
    expect(playground.locator("[data-overlay] rect")).to_have_count(0)
    entries.nth(0).click()
    assert playground.locator("[data-overlay] rect.pg-mark").count() > 0
    playground.select_option("[data-variant]", "moondream-embedded-nf4")
    entries.nth(1).click()
    assert "variant=moondream-embedded-fp16" in playground.url
    playground.click("[data-history-clear]")
    expect(entries).to_have_count(0)
    playground.click("[data-history-clear]")
    expect(entries).to_have_count(2)


def _code(playground: Page) -> dict[str, str]:
    """The run's code by language, once it is there."""
    playground.click("summary:has-text('Code for this run')")
    tabs = playground.locator("[data-code-list] .code__tab")
    expect(tabs).to_have_count(3)
    found = {}
    for tab in tabs.all():
        tab.click()
        panel = playground.locator("[data-code-list] .code__panel:not([hidden]) code")
        found[tab.inner_text()] = panel.text_content() or ""
    return found


def test_the_code_of_a_run_runs(
    playground: Page, run: Run, tmp_path: Path, node_client: Path
) -> None:
    playground.click("#tab-query")
    playground.fill("[name=question]", "What color is the background?")
    expected = run()
    code = _code(playground)
    done = subprocess.run(
        ["bash", "-c", code["cURL"]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["answer"] == expected
    assert (tmp_path / "night.webp").exists()
    done = subprocess.run(
        [sys.executable, "-c", code["Python"]], cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == expected
    with playground.expect_download() as download:
        playground.locator("[data-code-list] .code__panel:not([hidden]) a[download]").click()
    assert download.value.suggested_filename == "moondream-query.sh"
    playground.locator("[data-code-list] .code__tab", has_text="JavaScript").click()
    with playground.expect_download() as download:
        playground.locator("[data-code-list] .code__panel:not([hidden]) a[download]").click()
    download.value.save_as(tmp_path / "run.mjs")
    assert (tmp_path / "run.mjs").read_text() == code["JavaScript"]
    done = subprocess.run(
        ["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == expected
    with playground.expect_download() as download:
        playground.get_by_role("link", name="Download as a notebook").click()
    assert download.value.suggested_filename == "moondream-query.ipynb"
    playground.click("#tab-caption")  # another run, another code
    run()
    expect(playground.locator("[data-code-list] code").first).to_contain_text("model.caption(")
    shoot(playground, "playground-code")
    assert axe(playground) == []


def test_hostile_prompts_survive_the_shell(playground: Page, run: Run, tmp_path: Path) -> None:
    prompt = 'What\'s "red"? $(touch pwned) `touch pwned` \\ $HOME'
    playground.click("#tab-query")
    playground.fill("[name=question]", prompt)
    expected = run()
    done = subprocess.run(
        ["bash", "-c", _code(playground)["cURL"]], cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not (tmp_path / "pwned").exists()
    assert json.loads(done.stdout)["answer"] == expected


def test_without_javascript(chromium, live_stack: LiveStack) -> None:
    context = chromium.new_context(base_url=live_stack.base_url, java_script_enabled=False)
    page = context.new_page()
    complaints = quiet(page)
    page.goto("/playground/")
    page.check("[name=sample][value=night]", force=True)
    page.select_option("[name=skill]", "query")
    page.fill("[name=question]", "What color is the background?")
    page.click("[data-run]")
    expect(page.locator("main")).to_contain_text("black", timeout=30_000)
    expect(page.locator("main")).to_contain_text("ms")
    page.goto("/playground/")
    page.select_option("[name=skill]", "detect")
    page.click("[data-run]")
    expect(page.locator("[role=alert]")).to_be_visible()
    assert not [c for c in complaints if "400" not in c]
    context.close()


def test_the_dialog_keeps_focus_and_gives_it_back(page: Page, run: Run) -> None:
    page.goto("/")
    opener = page.locator("header [data-open-playground]")
    opener.click()
    expect(page.locator("dialog [data-run]")).to_be_visible()
    assert "star" in run()
    assert axe(page) == []
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(opener).to_be_focused()


@pytest.mark.parametrize("width", [390, 1440])
def test_text_of_twice_the_size_fits(playground: Page, run: Run, width: int) -> None:
    playground.set_viewport_size({"width": width, "height": 844})
    playground.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
    run()
    assert playground.evaluate("document.documentElement.scrollWidth") <= width
    shoot(playground, f"large text {width}")


def test_in_forced_colours_everything_is_seen(playground: Page, run: Run) -> None:
    playground.emulate_media(forced_colors="active")
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    run()
    colours = playground.evaluate("""() => {
        const of = (query, name) => getComputedStyle(document.querySelector(query))[name];
        return [
            [of("[data-skill=detect]", "borderBottomColor"), of("[data-skill=point]", "borderBottomColor")],
            [of(".pg-sample:has(:checked)", "borderTopColor"), of(".pg-sample:not(:has(:checked))", "borderTopColor")],
            ["part-encode", "part-first"].map((part) => of(`[data-timing-bar] .${part}`, "fill")),
            [of(".pg-mark", "stroke"), of("[data-stage]", "backgroundColor")],
        ];
    }""")
    for one, other in colours:
        assert one != other
    shoot(playground, "forced colours")


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_nothing_is_cut_off(playground: Page, run: Run, width: int) -> None:
    playground.set_viewport_size({"width": width, "height": 800})
    playground.click("#tab-detect")
    playground.fill("[name=object]", "stars")
    run()
    wide = playground.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert axe(playground) == []
    if width == 390:
        picture(playground, "playground-phone", full_page=True)
