"""Any value of an application made into plain JSON: bounded, without cycles, and whatever its methods raise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from .scrub import REPLACEMENT, Scrubber

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Deeper than a person reads; the server takes 128 levels.
DEPTH_MAX = 20
# Of one text inside a value: a page of it.
TEXT_BYTES_MAX = 16 * 1024
# Of what is shorter than this the beginning is kept; of longer texts the end as well.
PAGE_BYTES_MIN = 1000
# The note between the two.
NOTE_BYTES_MAX = 60
# What a value takes at least: `false`, or brackets, and a comma.
_VALUE_BYTES = 6


def encode(value: Json) -> bytes:
    """What cannot be UTF-8, such as half of a surrogate pair, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def text(value: object) -> str:
    """`str(value)`, whatever that raises."""
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def cut(whole: str, bytes_max: int) -> str:
    """The text if it takes at most so many bytes inside JSON's quotes, else what matters of it."""
    # A control character takes six bytes, and none takes more.
    if len(whole) * 6 <= bytes_max or (len(whole) <= bytes_max and _size(whole) <= bytes_max):
        return whole
    if bytes_max < PAGE_BYTES_MIN:
        return _head(whole, bytes_max)
    half = (bytes_max - NOTE_BYTES_MAX) // 2
    head = _head(whole, half)
    tail = _head(whole[: -half - 1 : -1], half)[::-1]
    return f"{head}\n[{len(whole) - len(head) - len(tail)} characters left out]\n{tail}"


def _head(whole: str, bytes_max: int) -> str:
    head = whole[: max(0, bytes_max)]
    while (size := _size(head)) > bytes_max:
        head = head[: len(head) * bytes_max // size]
    return head


def _size(whole: str) -> int:
    return len(encode(whole)) - 2


class Copier:
    """Copies values until the space is used up."""

    def __init__(self, scrubber: Scrubber, bytes_max: int) -> None:
        self._scrubber = scrubber
        self._bytes_left = bytes_max
        self._above: set[int] = set()

    def copy(self, value: object) -> Json:
        self._bytes_left -= _VALUE_BYTES
        if self._bytes_left <= 0:
            return "[left out]"
        try:
            return self._copy(value)
        except Exception:
            return self._text(f"<unprintable {type(value).__name__}>")

    def _copy(self, value: object) -> Json:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            # Fails for one that is too long to be printed.
            self._bytes_left -= len(str(value))
            return value
        if isinstance(value, float) and math.isfinite(value):
            self._bytes_left -= len(repr(value))
            return value
        if isinstance(value, Mapping):
            return self._nested(value, lambda: self._members(value))
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._nested(value, lambda: self._elements(value))
        return self._text(text(value))

    def _nested(self, value: object, copy: Callable[[], Json]) -> Json:
        if id(value) in self._above:
            return self._text("[contains itself]")
        if len(self._above) >= DEPTH_MAX:
            return self._text("[too deep]")
        self._above.add(id(value))
        try:
            return copy()
        finally:
            self._above.discard(id(value))

    def _members(self, value: Mapping[object, object]) -> Json:
        members: dict[str, Json] = {}
        # A copy, because another thread may be changing it.
        for key, member in list(value.items()):
            if self._bytes_left <= 0:
                members["[left out]"] = len(value) - len(members)
                break
            name = self._text(text(key))
            members[name] = self._text(REPLACEMENT) if self._scrubber.is_secret(name) else self.copy(member)
        return members

    def _elements(self, value: Iterable[object]) -> Json:
        elements: list[Json] = []
        for element in list(value):
            elements.append(self.copy(element))
            if self._bytes_left <= 0:
                break
        return elements

    def _text(self, whole: str) -> str:
        kept = cut(whole, min(TEXT_BYTES_MAX, self._bytes_left))
        self._bytes_left -= len(encode(kept))
        return kept
