"""Numbers of strangers' documents."""

import sys
from typing import Any


def is_number(value: Any, below: float = sys.float_info.max) -> bool:
    """Whether a JSON value is a number of a size less than this: no boolean, NaN or infinity. Whole
    numbers of JSON may be longer than any float."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and abs(value) < below
