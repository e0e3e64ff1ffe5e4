"""Who sent what, and what was said of it: the books that the databases are compared with in the end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# Of what is wrong in one ledger.
EXAMPLES_MAX = 5


class Ledger:
    """Events of one sender, each under a name; several may share one, then they count."""

    def __init__(self, what: str) -> None:
        self.what = what
        # Acknowledged: they must be there.
        self._must: Counter[str] = Counter()
        # Sent, and nobody can know: they may be there.
        self._may: Counter[str] = Counter()
        self._sent = 0
        self._lock = threading.Lock()

    def send(self, *names: str) -> None:
        """Before they leave."""
        with self._lock:
            self._sent += len(names)
            self._may.update(names)

    def acknowledge(self, *names: str) -> None:
        """Somebody said that they arrived."""
        with self._lock:
            self._may.subtract(names)
            self._must.update(names)

    def refuse(self, *names: str) -> None:
        """Somebody said that they were not taken."""
        with self._lock:
            self._may.subtract(names)

    def acknowledge_all(self) -> None:
        """For a sender that knows only that nothing waits any more and nothing was lost."""
        with self._lock:
            self._must.update(self._may)
            self._may.clear()

    def has(self, name: str) -> bool:
        """Whether that was ever sent."""
        return name in self._must or name in self._may

    def compare(self, stored: Mapping[str, int]) -> Balance:
        """With what is there of these names."""
        lost: Counter[str] = Counter()
        doubled: Counter[str] = Counter()
        for name in self._must.keys() | self._may.keys() | stored.keys():
            must, may, there = self._must[name], self._may[name], stored.get(name, 0)
            lost[name] = max(0, must - there)
            doubled[name] = max(0, there - must - may)
        return Balance(
            self.what,
            sent=self._sent,
            acknowledged=self._must.total(),
            stored=sum(stored.values()),
            lost=+lost,
            doubled=+doubled,
        )


@dataclass(frozen=True)
class Balance:
    """A line of the account."""

    what: str
    sent: int
    acknowledged: int
    stored: int
    lost: Counter[str]
    # There more often than sent, or never sent at all.
    doubled: Counter[str]

    def problems(self) -> list[str]:
        kinds = {"lost": self.lost, "doubled": self.doubled}
        return [
            f"{self.what}: {names.total()} {kind}, such as {', '.join(sorted(names)[:EXAMPLES_MAX])}"
            for kind, names in kinds.items()
            if names
        ]
