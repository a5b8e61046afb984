"""What a client of the tuning API asks, checked before it is queued, and as a worker reads it."""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from inference import images
from inference.engine.numbers import is_number
from inference.engine.settings import Settings
from inference.engine.tuning.examples import Example, Problem, params_problems, target_problems
from inference.errors import DomainError
from inference.tuning import errors

SKILLS = ("query", "point", "detect")
MOST_ROLLOUTS = 16
MOST_GROUPS = 64
MOST_ANSWERS = 512
"""Of one training step."""
MOST_TOKENS = 256
_PARAMS = {"query": ("question", "spatial_refs"), "point": ("object",), "detect": ("object",)}
_READ = ("skill", "image_url", "settings", "reasoning", "question", "object", "spatial_refs")


def refused(path: str, text: str) -> DomainError:
    """What is wrong with one part of a request."""
    whole = f"{path} {text}" if path else text
    return errors.BAD_TUNING_REQUEST(f"{whole}.", field=path or None)


def _first(path: str, problems: list[Problem]) -> None:
    for name, text in problems:
        raise refused(f"{path}.{name}" if name else path, text)


def request_check(request: Mapping[str, Any], path: str, *, judge_image: bool = True) -> None:
    """Judge a request: its skill, its words, its settings, and its image by what its header claims.

    Raises:
        InvalidInput, TooLarge, Unsupported: with the part that is wrong.
    """
    skill = request.get("skill")
    if skill not in SKILLS:
        raise refused(f"{path}.skill", f"must be one of {', '.join(SKILLS)}")
    for name in request:
        if name not in _READ:
            raise refused(f"{path}.{str(name)[:40]}", "is not known")
    if request.get("reasoning"):
        raise refused(f"{path}.reasoning", "is not tuned: leave it out")
    _first(path, list(params_problems(skill, _params(request))))
    try:
        Settings.read(_settings(request, path))
    except ValueError as error:
        raise refused(f"{path}.settings", str(error).rstrip(".")) from error
    url = request.get("image_url")
    if url is None:
        if skill != "query":
            raise refused(f"{path}.image_url", f"is needed: {skill} is about an image")
    elif not isinstance(url, str):
        raise refused(f"{path}.image_url", "must be a data URL")
    elif judge_image:
        images.check_header(images.data_url_bytes(url))


def _settings(request: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    given = request.get("settings") or {}
    if not isinstance(given, Mapping):
        raise refused(f"{path}.settings", "must be an object")
    return given


def _params(request: Mapping[str, Any]) -> dict[str, Any]:
    skill = request["skill"]
    return {name: request[name] for name in _PARAMS[skill] if request.get(name) is not None}


def truth_check(skill: str, truth: Any, path: str) -> None:
    """
    Raises:
        InvalidInput: it is not what can be known of the skill's answer.
    """
    if skill == "query":
        raise refused(path, "is of point and detect: judge answers to questions yourself")
    _taught_check(skill, truth, path)


def target_check(skill: str, target: Any, path: str) -> None:
    """
    Raises:
        InvalidInput: it is not what the skill can be taught.
    """
    if isinstance(target, Mapping):
        if target.get("reasoning"):
            raise refused(f"{path}.reasoning", "is not tuned: leave it out")
        target = {name: value for name, value in target.items() if name != "reasoning"}
    _taught_check(skill, target, path)


def _taught_check(skill: str, target: Any, path: str) -> None:
    if not isinstance(target, Mapping):
        raise refused(path, "must be an object")
    problems = target_problems(skill, target)
    _first(path, [(name.removeprefix("target").lstrip("."), text) for name, text in problems])


def groups_check(groups: list[Any]) -> None:
    """Judge the groups of a training step.

    Raises:
        InvalidInput, TooLarge, Unsupported: with the part that is wrong.
    """
    if not 0 < len(groups) <= MOST_GROUPS:
        raise refused("groups", f"must be 1 to {MOST_GROUPS}")
    answers = 0
    for number, group in enumerate(groups):
        path = f"groups[{number}]"
        if not isinstance(group, Mapping) or not isinstance(group.get("request"), Mapping):
            raise refused(path, "must be an object with a request")
        request_check(group["request"], f"{path}.request")
        mode = group.get("mode")
        if mode == "sft":
            target_check(group["request"]["skill"], group.get("target"), f"{path}.target")
        elif mode == "rl":
            answers += _rl_check(group, path)
        else:
            raise refused(f"{path}.mode", "must be rl or sft")
    if answers > MOST_ANSWERS:
        raise refused(
            "groups", f"hold {answers} rollouts; at most {MOST_ANSWERS} are trained at once"
        )


def _rl_check(group: Mapping[str, Any], path: str) -> int:
    rollouts, rewards = group.get("rollouts"), group.get("rewards")
    if (
        not isinstance(rollouts, list)
        or not rollouts
        or not all(isinstance(r, dict) for r in rollouts)
    ):
        raise refused(f"{path}.rollouts", "must be those that POST /rollouts gave")
    if not isinstance(rewards, list) or len(rewards) != len(rollouts):
        raise refused(f"{path}.rewards", "must be one number for each rollout")
    for reward in rewards:
        if reward is not None and not is_number(reward, 1e9):
            raise refused(f"{path}.rewards", "must be finite numbers")
    return len(rollouts)


# As a worker reads them.


def example_of(request: Mapping[str, Any]) -> Example:
    """A request as what is asked of an image, which is decoded when it is opened."""
    url = request.get("image_url")
    if url is None:
        return Example(request["skill"], _params(request))
    data = images.data_url_bytes(url)

    def opened() -> Image.Image:
        with Image.open(io.BytesIO(images.normalise(data).data)) as image:
            return image.convert("RGB")

    return Example(request["skill"], _params(request), opened, hashlib.sha256(data).hexdigest())


def sampling_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request's settings as sampling knows them. Without a temperature it is 1: what is trained on is
    what the model really says."""
    given = Settings.read({"temperature": 1.0, **(request.get("settings") or {})})
    asked = request.get("settings") or {}
    most = given.max_tokens if {"max_tokens", "maxTokens"} & set(asked) else MOST_TOKENS
    return {
        "temperature": given.temperature, "max_tokens": min(most, MOST_TOKENS),
        "max_objects": given.max_objects,
    }  # fmt: skip
