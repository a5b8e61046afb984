"""Tuning adapters on rewards and examples: sampling, objectives, steps, whole trainings.

    from inference.engine import Moondream
    from inference.engine.tuning import Tuner

Imports no Django. Torch and PEFT are imported with the first name that needs them: what reads examples
and checks settings needs neither.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.engine.tuning.adapters import AdapterError, Adapters, AdapterSettings, BaseModel
    from inference.engine.tuning.examples import Example, ExampleError
    from inference.engine.tuning.loop import Collapsed, Loop, LoopSettings, StepRecord, measure
    from inference.engine.tuning.objectives import Objective
    from inference.engine.tuning.rollouts import Rollout
    from inference.engine.tuning.sampling import SamplingSettings
    from inference.engine.tuning.tuner import (
        RehearsalGroup,
        RLGroup,
        SFTGroup,
        StepReport,
        Tuner,
        TunerError,
        TunerSettings,
    )

_HOMES = {
    "AdapterError": "adapters",
    "AdapterSettings": "adapters",
    "Adapters": "adapters",
    "BaseModel": "adapters",
    "Collapsed": "loop",
    "Example": "examples",
    "ExampleError": "examples",
    "Loop": "loop",
    "LoopSettings": "loop",
    "Objective": "objectives",
    "RLGroup": "tuner",
    "RehearsalGroup": "tuner",
    "Rollout": "rollouts",
    "SFTGroup": "tuner",
    "SamplingSettings": "sampling",
    "StepRecord": "loop",
    "StepReport": "tuner",
    "Tuner": "tuner",
    "TunerError": "tuner",
    "TunerSettings": "tuner",
    "measure": "loop",
}

__all__ = [
    "AdapterError", "AdapterSettings", "Adapters", "BaseModel", "Collapsed", "Example", "ExampleError",
    "Loop", "LoopSettings", "Objective", "RLGroup", "RehearsalGroup", "Rollout", "SFTGroup", "SamplingSettings",
    "StepRecord", "StepReport", "Tuner", "TunerError", "TunerSettings", "measure",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
