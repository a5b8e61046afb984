"""OpenAI's unmodified clients against a running stack: Python's, and Node's through `openai.mjs`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest

from inference.world.samples import sample_bytes
from tests.images import data_url
from tests.live import LiveStack

pytestmark = pytest.mark.live
URL = data_url(sample_bytes("night"), "image/webp")
QUESTION = "What color is the background?"


def _messages(text: str = QUESTION) -> list[Any]:
    parts = [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": text}]
    return [{"role": "developer", "content": "Be short."}, {"role": "user", "content": parts}]


@pytest.fixture(scope="module")
def client(live_stack: LiveStack) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live_stack.base_url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def node(live_stack: LiveStack, node_client: Path) -> Any:
    def run(*calls: Any) -> list[Any]:
        done = subprocess.run(
            ["node", "openai.mjs", f"{live_stack.base_url}/v1/", json.dumps(calls)],
            cwd=node_client, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        outcomes: list[Any] = json.loads(done.stdout)
        return outcomes

    return run


def test_an_answer(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="moondream", messages=_messages(), n=1, seed=7, user="u1", metadata={"a": "b"}
    )
    assert done.choices[0].message.content == "black"
    assert done.choices[0].finish_reason == "stop"
    assert done.model == "moondream-embedded-fp16"
    assert done.usage
    assert done.usage.prompt_tokens > 0
    cut = client.chat.completions.create(
        model="moondream", messages=_messages("What is here?"), max_completion_tokens=1
    )
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage
    assert cut.usage.completion_tokens == 1
    ended = client.chat.completions.create(
        model="moondream", messages=_messages(), stop=["ck", "z"]
    )
    assert (ended.choices[0].message.content, ended.choices[0].finish_reason) == ("bla", "stop")
    far = client.chat.completions.create(model="moondream", messages=_messages(), max_tokens=10**6)
    assert far.choices[0].message.content == "black"


def test_a_stream(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(
        model="moondream", messages=_messages(), stream=True, stream_options={"include_usage": True},
    ))  # fmt: skip
    assert {c.model for c in chunks} == {"moondream-embedded-fp16"}
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "black"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    with client.chat.completions.stream(model="moondream", messages=_messages()) as stream:
        assert stream.get_final_completion().choices[0].message.content == "black"


def test_models(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed[0] == "moondream-embedded-fp16"
    assert client.models.retrieve(listed[0]).object == "model"
    with pytest.raises(openai.NotFoundError, match="Available: moondream-embedded-fp16"):
        client.models.retrieve("gpt-4")


def test_what_is_raised_says_what_to_do(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Available: moondream-embedded-fp16"):
        client.chat.completions.create(model="gpt-4", messages=_messages())
    with pytest.raises(openai.BadRequestError, match="Leave it out") as caught:
        client.chat.completions.create(model="moondream", messages=_messages(), n=2)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "n")
    with pytest.raises(openai.BadRequestError, match="Add an image"):
        client.chat.completions.create(
            model="moondream", messages=[{"role": "user", "content": "Why?"}]
        )


def test_a_stream_that_breaks_raises(client: openai.OpenAI) -> None:
    # Short enough to be taken in, too many tokens for the model: it fails after the 200.
    broken = client.chat.completions.create(
        model="moondream", messages=_messages("é漢 " * 600), stream=True
    )
    with pytest.raises(openai.APIError, match="Change it and try again") as caught:
        list(broken)
    assert caught.value.code == "invalid_request"


def test_node(node: Any) -> None:
    asked = {"model": "moondream", "messages": _messages()}
    models, whole, chunks, refused, broken = node(
        ("models", None),
        ("chat", asked),
        ("chat", {**asked, "stream": True, "stream_options": {"include_usage": True}}),
        ("chat", {**asked, "response_format": {"type": "json_object"}}),
        ("chat", {**asked, "messages": _messages("é漢 " * 600), "stream": True}),
    )
    assert models[0]["id"] == "moondream-embedded-fp16"
    assert whole["choices"][0]["message"]["content"] == "black"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]) == "black"
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert (refused["status"], refused["code"], refused["param"]) == (400, "unsupported_parameter", "response_format")  # fmt: skip
    assert "Leave it out" in refused["raised"]
    assert "Change it and try again" in broken["raised"]
