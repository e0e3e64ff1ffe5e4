"""Where values gather until they are sent: counters of the same series and minute as one sum, the others one by one."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import SupportsFloat, TypeAlias

from .delivery import AGE_SECONDS_MAX, Parcel
from .plain import Json, cut, encode, text

# Limits of the server: a batch that has more is refused whole.
POINTS_PER_BATCH_MAX = 1000
# The server takes 512 KB.
BATCH_BYTES_MAX = 500_000
NAME_BYTES_MAX = 200
PROJECT_BYTES_MAX = 100
LABELS_MAX = 32
LABEL_NAME_BYTES_MAX = 100
LABEL_VALUE_BYTES_MAX = 1024
LABELS_BYTES_MAX = 4096
# What gathers while the server is away: a minute of three hundred requests a second, in less than 10 MB.
POINTS_MAX = 20_000
# Sums of series and minutes; more series than this are a mistake, such as an id in a label.
SUMS_MAX = 10_000
# A batch that was refused for its content is halved so often: at most thirty further requests, and of its values only
# those beside the wrong ones are lost.
HALVINGS_MAX = 4
# Larger ones are not whole numbers for the server.
INTEGER_MAX = 2**63 - 1
SECONDS_PER_MINUTE = 60

Number: TypeAlias = int | float
GivenLabels: TypeAlias = Mapping[str, str] | None
# In the order the caller gave them: the server knows that this does not matter.
Labels: TypeAlias = tuple[tuple[str, object], ...]


class Window:
    """Bounded in everything. What finds no room is counted by reason."""

    def __init__(self, project: str | None) -> None:
        self._project = cut(project, PROJECT_BYTES_MAX) if project else None
        self.forget()

    def forget(self) -> None:
        """Starts anew."""
        # Reentrant, because a signal handler may count as well.
        self._lock = threading.RLock()
        # By minute, so that what is sent late counts where it belongs. A list holds the sum, and when it began.
        self._sums: dict[tuple[float, str, Labels], list[float]] = {}
        self._points: list[tuple[str, str, Labels, Number, float]] = []
        self._lost: Counter[str] = Counter()

    def count(self, name: str, value: Number, labels: GivenLabels) -> bool:
        """Adds to a sum. True when that is a new one."""
        try:
            return self._count(name, value, tuple(labels.items()) if labels else ())
        except Exception:
            # A label that cannot be a key, a value that is no number, labels that are none.
            return self._count_odd(name, value, labels)

    def _count(self, name: str, value: Number, labels: Labels) -> bool:
        if value.__class__ is not int:
            value = _number(value)
        now = time.time()
        key = (now // SECONDS_PER_MINUTE, name, labels)
        with self._lock:
            entry = self._sums.get(key)
            if entry is not None:
                entry[0] += value
                return False
            if len(self._sums) >= SUMS_MAX:
                self._lost["too_many_series"] += 1
                return False
            self._sums[key] = [value, now]
            return True

    def _count_odd(self, name: str, value: Number, labels: object) -> bool:
        try:
            return self._count(text(name), _number(value), _readable(labels))
        except (TypeError, ValueError, OverflowError):
            self.lose("invalid")
            return False

    def add(self, name: str, kind: str, value: Number, labels: GivenLabels) -> int:
        """Adds a value and says how many there are now."""
        try:
            point = (name, kind, tuple(labels.items()) if labels else (), _number(value), time.time())
        except Exception:
            self.lose("invalid")
            return 0
        with self._lock:
            if len(self._points) < POINTS_MAX:
                self._points.append(point)
                return len(self._points)
        self.lose("queue_full")
        return 0

    def lose(self, reason: str) -> None:
        with self._lock:
            self._lost[reason] += 1

    def waiting(self) -> int:
        """How many values and sums have gathered."""
        return len(self._sums) + len(self._points)

    def take_lost(self) -> Mapping[str, int]:
        """How many were lost for which reason since this was asked before."""
        with self._lock:
            lost, self._lost = self._lost, Counter()
        return lost

    def collect(self) -> Iterator[Parcel]:
        """Everything, in batches that the server takes."""
        with self._lock:
            sums, self._sums = self._sums, {}
            points, self._points = self._points, []
        return _batches(self._items(sums, points))

    def _items(
        self,
        sums: dict[tuple[float, str, Labels], list[float]],
        points: list[tuple[str, str, Labels, Number, float]],
    ) -> Iterator[tuple[bytes, float]]:
        """Each as JSON, with its age."""
        now = time.time()
        writer = _Writer(self._project)
        counted = ((name, "counter", labels, value, at) for (_, name, labels), (value, at) in sums.items())
        for name, kind, labels, value, at in chain(counted, points):
            if now - at > AGE_SECONDS_MAX:
                self.lose("too_old")
            elif item := writer.write(name, kind, labels, value, at):
                yield item, now - at
            else:
                self.lose("invalid")


class _Writer:
    """Writes values as JSON; what they have in common is made once."""

    def __init__(self, project: str | None) -> None:
        self._project = project
        self._heads: dict[tuple[str, str, Labels], bytes | None] = {}
        self._times: dict[int, str] = {}

    def write(self, name: str, kind: str, labels: Labels, value: Number, at: float) -> bytes | None:
        """Nothing when the server would not take it."""
        try:
            key = (name, kind, labels)
            if key not in self._heads:
                self._heads[key] = self._head(name, kind, labels)
            head = self._heads[key]
        except TypeError:
            # A label that cannot be a key.
            head = self._head(name, kind, _readable(dict(labels)))
        # A sum may have become larger than any number.
        if isinstance(value, int) and abs(value) > INTEGER_MAX:
            value = float(value) if abs(value) < sys.float_info.max else math.inf
        if head is None or not math.isfinite(value):
            return None
        return head + f',"value":{value!r},"timestamp":"{self._time(int(at))}"}}'.encode()

    def _head(self, name: str, kind: str, labels: Labels) -> bytes | None:
        name = cut(text(name), NAME_BYTES_MAX)
        if not name:
            return None
        head: dict[str, Json] = {"name": name, "type": kind}
        if self._project:
            head["project"] = self._project
        if fitting := _fitting(labels):
            head["labels"] = fitting
        return encode(head)[:-1]

    def _time(self, second: int) -> str:
        if second not in self._times:
            self._times[second] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._times[second]


def _fitting(labels: Labels) -> dict[str, Json]:
    """What the server takes of labels."""
    fitting: dict[str, Json] = {}
    bytes_left = LABELS_BYTES_MAX
    for given_name, given_value in labels[:LABELS_MAX]:
        # As it will be sent: two names must not become one.
        name = cut(text(given_name), LABEL_NAME_BYTES_MAX).encode("utf-8", "replace").decode()
        value = _label(given_value)
        bytes_left -= len(encode({name: value}))
        if name and bytes_left > 0 and given_value is not None:
            fitting[name] = value
    return fitting


def _label(given: object) -> Json:
    if isinstance(given, int) and abs(given) <= INTEGER_MAX:
        return given
    if isinstance(given, float) and math.isfinite(given):
        return given
    return cut(text(given), LABEL_VALUE_BYTES_MAX)


def _readable(labels: object) -> Labels:
    """Labels whose values are text."""
    if labels is None:
        return ()
    if not isinstance(labels, Mapping):
        raise TypeError("labels must be a mapping")
    return tuple((text(name), text(value)) for name, value in labels.items())


def _number(value: object) -> Number:
    """A finite one, of Python's own; fails when it is none."""
    if value.__class__ is int or value.__class__ is float:
        number: Number = value
    elif isinstance(value, SupportsFloat):
        number = int(value) if isinstance(value, int) else float(value)
    else:
        raise TypeError("not a number")
    if math.isfinite(number):
        return number
    raise ValueError("not a finite number")


def _batches(items: Iterator[tuple[bytes, float]]) -> Iterator[Parcel]:
    batch: list[bytes] = []
    size, oldest = 0, 0.0
    for item, age in items:
        if len(batch) >= POINTS_PER_BATCH_MAX or size + len(item) + 1 > BATCH_BYTES_MAX:
            yield _batch(batch, oldest)
            batch, size, oldest = [], 0, 0.0
        batch.append(item)
        size += len(item) + 1
        oldest = max(oldest, age)
    if batch:
        yield _batch(batch, oldest)


def _batch(items: list[bytes], age: float, halvings: int = HALVINGS_MAX) -> Parcel:
    def halves() -> list[Parcel]:
        middle = len(items) // 2
        return [_batch(half, age, halvings - 1) for half in (items[:middle], items[middle:])]

    may_split = halvings > 0 and len(items) > 1
    parcel = Parcel(b"[" + b",".join(items) + b"]", len(items), halves if may_split else None)
    parcel.since -= age
    return parcel
