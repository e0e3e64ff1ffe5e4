"""What went wrong."""

from __future__ import annotations

import sys
import threading

# Of one kind; the rest is counted.
SHOWN_MAX = 50


class Verdict:
    """The violations so far, from whichever thread."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._lock = threading.Lock()

    def violation(self, text: str) -> None:
        """Something that must not be. Told at once: the end may be hours away."""
        with self._lock:
            self.violations.append(text)
            if len(self.violations) <= SHOWN_MAX:
                print(f"soak: VIOLATION: {text}", file=sys.stderr, flush=True)
