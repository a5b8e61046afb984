"""`/v1/chat/completions`: OpenAI's shape, and what is refused by name."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from inference import answering, chat, errors, images, selectors, services, stream
from inference.engine.settings import MOST_OBJECTS, MOST_TOKENS, Settings
from inference.errors import DomainError
from inference.models import Job
from inference.schemas import ChatIn
from inference.world.samples import sample_bytes
from tests.images import data_url

URL = data_url(sample_bytes("night"))
ASK: dict[str, Any] = {"role": "user", "content": "What color is the background?"}


def _image(url: str = URL) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _turn(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def _text(text: str = "Why?") -> dict[str, Any]:
    return {"type": "text", "text": text}


def _params(*messages: Any, **more: Any) -> tuple[dict[str, Any], list[str]]:
    return chat.params_of(ChatIn(messages=list(messages) or [ASK], **more))


def _refused(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.post(
        "/v1/chat/completions", {"messages": [_turn(_text(), _image())], **body},
        content_type="application/json",
    )  # fmt: skip
    assert answer.status_code == 400
    told: dict[str, Any] = answer.json()["error"]
    assert told["type"] == "invalid_request_error"
    return told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("n", 2, "unsupported_parameter"),
        ("n", 0, "unsupported_parameter"),
        ("n", True, "unsupported_parameter"),
        ("stop", ["a", "b", "c", "d", "e"], "invalid_field"),
        ("stop", 5, "invalid_field"),
        ("logprobs", True, "unsupported_parameter"),
        ("top_logprobs", 3, "unsupported_parameter"),
        ("logit_bias", {"50256": -100}, "unsupported_parameter"),
        ("response_format", {"type": "json_object"}, "unsupported_parameter"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "unsupported_parameter"),
        ("frequency_penalty", 0.5, "unsupported_parameter"),
        ("presence_penalty", -1, "unsupported_parameter"),
        ("tools", [{"type": "function"}], "unsupported_parameter"),
        ("tool_choice", "required", "unsupported_parameter"),
        ("functions", [{"name": "f"}], "unsupported_parameter"),
        ("function_call", {"name": "f"}, "unsupported_parameter"),
        ("modalities", ["text", "audio"], "unsupported_parameter"),
        ("audio", {"voice": "alloy"}, "unsupported_parameter"),
        ("web_search_options", {}, "unsupported_parameter"),
        ("verbosity", "low", "unsupported_parameter"),
        ("stream_options", {"include_usage": True}, "unsupported_parameter"),
        ("top_k", 5, "unknown_parameter"),
        ("guided_json", {}, "unknown_parameter"),
        ("temprature", 1, "unknown_parameter"),
        ("max_objects", 3, "unknown_parameter"),
        ("temperature", 2.5, "invalid_field"),
        ("top_p", -0.1, "invalid_field"),
        ("max_tokens", 0, "invalid_field"),
        ("max_completion_tokens", -5, "invalid_field"),
        ("max_tokens", "many", "invalid_field"),
        ("seed", "lucky", "invalid_field"),
        ("reasoning_effort", "maximal", "invalid_field"),
        ("messages", [], "invalid_field"),
        ("messages", [{"role": "system", "content": "Be short."}], "question_required"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(
    client: Client, field: str, value: Any, code: str
) -> None:
    services.variants_sync()
    told = _refused(client, **{field: value})
    assert (told["code"], told["param"]) == (code, field)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "more",
    [
        {"n": 1, "stop": None, "logprobs": False, "top_logprobs": 0, "logit_bias": {}},
        {"response_format": {"type": "text"}, "frequency_penalty": 0, "presence_penalty": 0.0},
        {"tools": [], "tool_choice": "none", "functions": None, "function_call": "auto"},
        {"user": "u1", "metadata": {"run": "3"}, "store": True, "service_tier": "auto"},
        {"safety_identifier": "x", "prompt_cache_key": "y", "parallel_tool_calls": True},
        {"stop": [], "modalities": ["text"], "top_k": None, "stream": None, "stream_options": None},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"reasoning_effort": None, "seed": None, "temperature": None, "max_tokens": None},
    ],
)
def test_what_changes_nothing_is_taken(more: dict[str, Any]) -> None:
    assert _params(**more) == _params()


def test_fields_become_settings() -> None:
    params, _ = _params(temperature=0.5, top_p=0.9, max_tokens=7, seed=-1)
    assert params["settings"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 2**32 - 1,
    }
    assert _params(max_tokens=7, max_completion_tokens=5)[0]["settings"]["max_tokens"] == 5
    far = _params(max_completion_tokens=10**30)[0]["settings"]
    assert Settings.read(far).max_tokens == MOST_TOKENS
    for effort, reasons in (("none", False), ("minimal", False), ("low", True), ("high", True)):
        assert _params(reasoning_effort=effort)[0]["reasoning"] is reasons
    assert _params(reasoning_effort="high", reasoning=False)[0]["reasoning"] is False


def test_more_than_there_ever_is_is_as_much_as_there_is() -> None:
    asked = {"max_tokens": 8192, "maxObjects": 10**9}
    read = Settings.read(asked)
    assert (read.max_tokens, read.max_objects) == (MOST_TOKENS, MOST_OBJECTS)
    for wrong in ({"max_tokens": 0}, {"max_objects": -1}, {"temperature": 3}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match="between"):
            Settings.read(wrong)


def test_every_role_and_form_of_content() -> None:
    params, urls = _params(
        {"role": "system", "content": "Be short."},
        {"role": "developer", "content": [_text("Be kind.")]},
        _turn(_image(), _text("First?")),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "content": "42", "tool_call_id": "1"},
        {"role": "assistant", "content": "black", "refusal": None},
        {"role": "user", "content": "And  now?", "name": "ada"},
    )
    assert (params["question"], urls) == ("And  now?", [URL])


def test_an_image_may_be_a_bare_address() -> None:
    assert _params(_turn({"type": "image_url", "image_url": URL}, _text()))[1] == [URL]
    assert _params(_turn(_text(), {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}))[1] == [URL]  # fmt: skip
    assert _params(_turn(_text("One"), _text("and two?")))[0]["question"] == "One and two?"


def test_several_images_in_a_turn_are_refused() -> None:
    with pytest.raises(DomainError) as caught:
        _params(_turn(_image("data:,a"), _image("data:,b"), _text()))
    assert (caught.value.code, caught.value.extra) == ("too_many_images", {"field": "messages.0.content"})  # fmt: skip
    assert _params(_turn(_image(), _image(), _text()))[1] == [URL]  # the same one twice
    # A later turn's image takes an earlier one's place, as the reference says.
    assert _params(_turn(_image("data:,a"), _text()), _turn(_image(), _text()))[1] == [URL]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "video_url", "video_url": {"url": URL}},
        {"type": "image_url"},
        {"type": "input_image", "image_url": URL},
    ],
)
def test_a_part_that_cannot_be_read_is_named(part: dict[str, Any]) -> None:
    with pytest.raises(DomainError) as caught:
        _params(ASK, _turn(_text(), part))
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.extra == {"field": "messages.1.content.1.type"}


@pytest.mark.parametrize("content", [None, "", "  ", [], [{"type": "text", "text": ""}]])
def test_a_turn_without_a_question(content: Any) -> None:
    with pytest.raises(DomainError) as caught:
        _params({"role": "user", "content": content})
    assert (caught.value.code, caught.value.extra) == ("question_required", {"field": "messages.0.content"})  # fmt: skip


@pytest.mark.parametrize("message", [{"role": "robot", "content": "x"}, {"role": "user", "content": 5}, {"content": "x"}])  # fmt: skip
def test_a_message_of_another_form(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        _params(message)
    assert caught.value.errors()[0]["loc"][:2] == ("messages", 0)


def _body(**more: Any) -> ChatIn:
    return ChatIn(messages=[ASK], **more)


def _completion(job: Job, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return chat.completion_of(_body(**more))(job, data)


def _data(**more: Any) -> dict[str, Any]:
    return {
        "result": {"answer": "black"}, "tokens": {"prompt": 3, "completion": 2},
        "finish_reason": "length", "variant": "moondream-embedded", **more,
    }  # fmt: skip


@pytest.mark.django_db
def test_a_whole_answer_is_openais() -> None:
    job = Job(variant=services.variants_sync()[0], skill="query")
    job.save()
    done = ChatCompletion.model_validate(_completion(job, _data()), strict=True)
    assert done.model == job.variant.slug
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("black", "length")
    assert done.usage
    assert done.usage.total_tokens == 5
    reasoning = {
        "text": "It is night.",
        "grounding": [{"start_idx": 0, "end_idx": 2, "points": []}],
    }
    reasoned = _completion(job, _data(result={"answer": "black", "reasoning": reasoning}))
    message = reasoned["choices"][0]["message"]
    assert message["reasoning"] == "It is night."
    assert message["reasoning_details"] == {"grounding": reasoning["grounding"]}


@pytest.mark.parametrize(
    ("stops", "shown", "is_met"),
    [
        ([], "one, two; three.", False),
        ([";"], "one, two", True),
        (["; t"], "one, two", True),
        (["three", ", "], "one", True),
        (["three.!"], "one, two; three.", False),
        (["e."], "one, two; thre", True),
        (["ee.x", "."], "one, two; three", True),
        (["one"], "", True),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_an_answer_ends_before_the_first_stop(stops: list[str], shown: str, is_met: bool, size: int) -> None:  # fmt: skip
    text = "one, two; three."
    until = chat.Until(stops)
    pieces = [until.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert ("".join([*pieces, until.rest()]), until.is_met) == (shown, is_met)


@pytest.mark.django_db
def test_what_a_stop_cut_has_ended_by_itself() -> None:
    job = Job(variant=services.variants_sync()[0], skill="query")
    job.save()
    (choice,) = _completion(job, _data(), stop=["ck"])["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("bla", "stop")


async def _lines(job: Job, *, with_usage: bool = False, **more: Any) -> list[str]:
    body = _body(stream=True, stream_options={"include_usage": with_usage}, **more)
    text = "".join([line async for line in chat.stream_of(body)(job)])
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]


def _answered() -> Job:
    services.variants_sync()
    image = services.image_store(data=sample_bytes("night"))
    params, _ = _params(max_tokens=1)
    job = services.job_submit(
        skill="query", variant_slug=None, image=image, params=params, caller="api"
    )
    services.job_run(job_id=job.id, worker="w")
    return selectors.job_get(job.id)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_usage", [True, False])
async def test_a_stream_is_openais(settings: Any, tmp_path: Any, with_usage: bool) -> None:
    settings.IMAGE_STORE_DIR = tmp_path
    job = await sync_to_async(_answered)()
    *sent, last = await _lines(job, with_usage=with_usage)
    assert last == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate(json.loads(line), strict=True) for line in sent]
    assert {(c.id, c.model, c.object, c.created) for c in chunks} == {
        (str(job.id), job.variant.slug, "chat.completion.chunk", int(job.created_at.timestamp()))
    }
    if with_usage:
        *chunks, usage = chunks
        assert usage.choices == []
        assert usage.usage
        assert usage.usage.total_tokens == job.tokens["prompt"] + job.tokens["completion"]
    assert all(("usage" in json.loads(line)) == with_usage for line in sent)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert job.result
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == job.result["answer"] != ""
    finishes = [c.choices[0].finish_reason for c in chunks]
    assert finishes == [None] * (len(chunks) - 1) + [job.finish_reason]
    assert job.finish_reason == "length"

    # Ended before a sequence, wherever the pieces were cut.
    *cut, _ = await _lines(job, stop=text[1:2])
    said = [json.loads(line)["choices"][0] for line in cut]
    assert "".join(c["delta"].get("content", "") for c in said) == text[:1]
    assert said[-1]["finish_reason"] == "stop"

    # Once the stream has expired, the kept answer comes whole.
    await sync_to_async(stream.forget)(job.id)
    stream_block, stream._BLOCK_MS = stream._BLOCK_MS, 50
    try:
        late = [json.loads(line) for line in (await _lines(job))[:-1]]
        pieces = [event async for event in answering.told(job)]
    finally:
        stream._BLOCK_MS = stream_block
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in late) == text
    assert [e.type for e in pieces if e] == ["token", "result"]
    await sync_to_async(connections.close_all)()


def test_a_stream_that_breaks_raises_in_both_kinds_of_client() -> None:
    told = chat.failure(errors.TIMEOUT("Too late."), "data: stream failed: timeout\n\n")
    first, second = (line.removeprefix("data: ") for line in told.strip().split("\n\n"))
    error = json.loads(first)["error"]
    assert error["code"] == "timeout"
    assert errors.TIMEOUT.hint in error["message"]
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(second)


@pytest.mark.django_db
@pytest.mark.parametrize("skill", ["detect", "point"])
def test_a_skill_says_what_of_a_request_it_does_not_read(client: Client, skill: str) -> None:
    services.variants_sync()
    body = {"image_url": URL, "object": "star", "spatial_refs": [[0.5, 0.5]]}
    answer = client.post(f"/v1/{skill}", body, content_type="application/json")
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["param"]) == (400, "unsupported_parameter", "spatial_refs")  # fmt: skip


@pytest.mark.django_db
def test_a_query_needs_no_image_field(client: Client) -> None:
    """As the official clients leave it out; the embedded model then says that it needs one."""
    services.variants_sync()
    answer = client.post("/v1/query", {"question": "Why?"}, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "image_required")


_BYTES = bytes(range(256)) + b"\xfb\xff\xfe"
_STANDARD = data_url(_BYTES, "image/png").partition(",")[2]
_FOLDED = "\r\n".join(_STANDARD[i : i + 76] for i in range(0, len(_STANDARD), 76))


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{_STANDARD}",
        f"  data:image/png;base64,{_STANDARD}\n",
        f"DATA:image/PNG;BASE64,{_STANDARD}",
        f"data:;base64,{_STANDARD}",
        f"data:image/png;name=a.png;base64,{_STANDARD}",
        f"data:image/png; base64,{_STANDARD}",
        f"data:image/png;base64,{_STANDARD.rstrip('=')}",
        f"data:image/png;base64,{_FOLDED}",
        f"data:image/png;base64, {_STANDARD} \t\f\n",
        f"data:image/png;base64,{_STANDARD.replace('+', '-').replace('/', '_')}",
        f"data:image/png;base64,{_STANDARD.replace('+', '-').replace('/', '_').rstrip('=')}",
        f"data:image/png;base64,{_STANDARD.replace('+', '%2B').replace('/', '%2f').replace('=', '%3D')}",
    ],
)
def test_base64_is_read_forgivingly(url: str) -> None:
    assert images.data_url_bytes(url) == _BYTES


@pytest.mark.parametrize("tail", ["A", "AAAAA", "AA=A", "A===", "AAAA====", "AA*A", "ÄAAA", "%", "AA\x0bAA", "AAAA,AAAA"])  # fmt: skip
def test_what_is_no_base64_is_refused(tail: str) -> None:
    with pytest.raises(DomainError) as caught:
        images.data_url_bytes(f"data:image/png;base64,{tail}")
    assert (caught.value.code, caught.value.extra) == ("bad_image_url", {"field": "image_url"})
