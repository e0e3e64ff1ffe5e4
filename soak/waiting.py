"""Waiting for a condition, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# Far more than anything here takes on a machine that is not broken.
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.02

T = TypeVar("T")


def wait_for(what: str, find: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Asks until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        if found := find():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(PAUSE_SECONDS)
