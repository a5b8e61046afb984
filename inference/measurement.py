"""A figure that knows where it comes from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Provenance = Literal["verified", "reproduced", "reported", "measured", "sample"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number for a page: printed with its unit and its provenance, never bare.

    `source` says who measured it or links the publication it is reported in.
    """

    value: float
    unit: str
    source: str
    provenance: Provenance = "measured"
    measured_at: datetime | None = None
    url: str = ""
