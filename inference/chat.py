"""OpenAI's chat completions over `query`: what of a request is read, what is refused by name, and the
shapes of the answers.

After OpenAI's API reference ("Create chat completion"). Nothing that would change an answer is left
aside silently: a field that this server cannot honour is 400, with the field's name as `param`.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from inference import answering, errors
from inference.errors import DomainError
from inference.models import Job
from inference.schemas import ChatIn, Message, Part

_CHANGES_NOTHING: dict[str, tuple[Any, ...]] = {
    "audio": (), "frequency_penalty": (0, 0.0), "function_call": ("none", "auto"), "functions": ([],),
    "logit_bias": ({},), "logprobs": (False,), "modalities": (["text"],), "n": (1,),
    "presence_penalty": (0, 0.0), "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"), "tools": ([],), "top_logprobs": (0,), "verbosity": ("medium",),
    "web_search_options": (),
}  # fmt: skip
"""Fields that are not honoured here, with the values that ask for nothing (so does null)."""
_ABOUT_THE_REQUEST = frozenset({
    "metadata", "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_retention",
    "safety_identifier", "service_tier", "store", "user",
})  # fmt: skip
"""Fields that no answer depends on."""
_NO_REASONING = ("none", "minimal")


def params_of(body: ChatIn) -> tuple[dict[str, Any], list[str]]:
    """What `query` is asked for a chat: its params, and the image as a data URL in a list, if there
    is one.

    The last user turn's text is asked about the newest turn with an image. Earlier turns are not read:
    the model has no memory of a conversation.

    Raises:
        InvalidInput: a field that cannot be honoured, or no question.
    """
    _check_fields(body)
    turns = [(n, m) for n, m in enumerate(body.messages) if m.role == "user"]
    if not turns:
        raise errors.QUESTION_REQUIRED("There is no user message.", field="messages")
    for number, turn in turns:
        _check_parts(number, turn.content)
    question = " ".join(p.text for p in turns[-1][1].content if p.type == "text" and p.text)
    if not question.strip():
        raise errors.QUESTION_REQUIRED(field=f"messages.{turns[-1][0]}.content")
    return {
        "question": question, "reasoning": _reasons(body), "settings": _settings(body),
    }, _newest_image(turns)  # fmt: skip


def _check_fields(body: ChatIn) -> None:
    for name, value in (body.model_extra or {}).items():
        if value is None or name in _ABOUT_THE_REQUEST:
            continue
        if name not in _CHANGES_NOTHING:
            raise errors.UNKNOWN_PARAMETER(
                f"There is no field {name[:80]!r} here.", field=name[:80]
            )
        # Compared as JSON, which tells true from 1.
        if json.dumps(value) not in map(json.dumps, _CHANGES_NOTHING[name]):
            raise errors.UNSUPPORTED_PARAMETER(f"{name} is not supported here.", field=name)
    if body.stream_options is not None and not body.stream:
        raise errors.UNSUPPORTED_PARAMETER(
            "stream_options is for streams alone.", hint="Send stream: true, or leave it out.",
            field="stream_options",
        )  # fmt: skip


def _check_parts(number: int, parts: list[Part]) -> None:
    for at, part in enumerate(parts):
        is_read = (
            part.image_url is None
            if part.type == "text"
            else part.type == "image_url" and part.image_url is not None
        )
        if not is_read:
            raise errors.UNSUPPORTED_PARAMETER(
                f"A part of the type {part.type[:40]!r} cannot be read here.",
                hint="Send text, and an image as image_url.",
                field=f"messages.{number}.content.{at}.type",
            )


def _newest_image(turns: list[tuple[int, Message]]) -> list[str]:
    for number, turn in reversed(turns):
        urls = list(dict.fromkeys(part.image_url.url for part in turn.content if part.image_url))
        if len(urls) > 1:
            raise errors.TOO_MANY_IMAGES(field=f"messages.{number}.content")
        if urls:
            return urls
    return []


def _reasons(body: ChatIn) -> bool:
    if body.reasoning is not None:
        return body.reasoning
    return body.reasoning_effort is not None and body.reasoning_effort not in _NO_REASONING


def _settings(body: ChatIn) -> dict[str, Any]:
    settings = {
        "temperature": body.temperature, "top_p": body.top_p,
        "max_tokens": body.max_completion_tokens or body.max_tokens,  # clamped where it is read
        # OpenAI's has 64 bits and a sign.
        "seed": None if body.seed is None else body.seed % 2**32,
    }  # fmt: skip
    return {name: value for name, value in settings.items() if value is not None}


class Until:
    """A text up to the first of some sequences (OpenAI's `stop`), given piece by piece. What may be the
    beginning of one is held back until it is known."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = stops, ""
        self.is_met = False

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        if self.is_met:
            return ""
        held = self._held + piece
        found = [at for stop in self._stops if (at := held.find(stop)) >= 0]
        self.is_met = bool(found)
        shown = min(found) if found else len(held) - self._begun(held)
        self._held = held[shown:]
        return held[:shown]

    def rest(self) -> str:
        """What was held back, once nothing comes any more."""
        return "" if self.is_met else self._held

    def _begun(self, text: str) -> int:
        """How many of the last characters may belong to a sequence."""
        lengths = (n for stop in self._stops for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n]))  # fmt: skip
        return max(lengths, default=0)


def completion_of(body: ChatIn) -> Callable[[Job, dict[str, Any]], dict[str, Any]]:
    """What makes a whole answer of a job's data."""
    stops = list(body.stop)

    def completion(job: Job, data: dict[str, Any]) -> dict[str, Any]:
        until = Until(stops)
        text = until.feed(data["result"]["answer"]) + until.rest()
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {
            "index": 0, "message": message | _reasoning(data), "logprobs": None,
            "finish_reason": "stop" if until.is_met else data["finish_reason"],
        }  # fmt: skip
        return _head(job, "chat.completion") | {"choices": [choice], "usage": _usage(data)}

    return completion


def stream_of(body: ChatIn) -> Callable[[Job], AsyncIterator[str]]:
    """What sends an answer in chunks; with `include_usage` the last but one tells what it took."""
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    stops = list(body.stop)

    async def lines(job: Job) -> AsyncIterator[str]:
        until = Until(stops)
        head = _head(job, "chat.completion.chunk") | ({"usage": None} if with_usage else {})

        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return f"data: {json.dumps(head | {'choices': [choice]})}\n\n"

        yield chunk({"role": "assistant", "content": ""})
        async with aclosing(answering.told(job)) as told:
            async for event in told:
                if event is None:
                    yield ": waiting\n\n"
                elif event.type == "token":
                    if shown := until.feed(event.data["text"]):
                        yield chunk({"content": shown})
                else:
                    if rest := until.rest():
                        yield chunk({"content": rest})
                    finish = "stop" if until.is_met else event.data["finish_reason"]
                    yield chunk(_reasoning(event.data), finish)
                    if with_usage:
                        last = head | {"choices": [], "usage": _usage(event.data)}
                        yield f"data: {json.dumps(last)}\n\n"
        yield "data: [DONE]\n\n"

    return lines


def failure(error: DomainError, in_words: str) -> str:
    """How a stream that broke off ends: OpenAI's clients raise at the first line, Moondream's, which
    leaves that aside, at the second, which is no JSON."""
    return f"data: {json.dumps({'error': errors.openai_body(error)})}\n\n{in_words}"


def _head(job: Job, kind: str) -> dict[str, Any]:
    created = int(job.created_at.timestamp())
    return {"id": str(job.id), "object": kind, "created": created, "model": job.model_name}


def _usage(data: dict[str, Any]) -> dict[str, int]:
    prompt, completion_ = data["tokens"].get("prompt", 0), data["tokens"].get("completion", 0)
    return {
        "prompt_tokens": prompt, "completion_tokens": completion_, "total_tokens": prompt + completion_,
    }  # fmt: skip


def _reasoning(data: dict[str, Any]) -> dict[str, Any]:
    """As Moondream's clients read it in a chat: its text, and what it is about beside it."""
    reasoning = data["result"].get("reasoning")
    if not reasoning:
        return {}
    return {
        "reasoning": reasoning["text"],
        "reasoning_details": {"grounding": reasoning.get("grounding", [])},
    }
