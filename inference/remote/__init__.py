"""Other servers of this API: how they are reached, asked and looked at."""

from inference.remote.asking import HUB, WaitError, ask, ask_stream
from inference.remote.link import Link, address_read
from inference.remote.probing import Probed, probe

__all__ = ["HUB", "Link", "Probed", "WaitError", "address_read", "ask", "ask_stream", "probe"]
