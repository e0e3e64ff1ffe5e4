"""How values gather and what batches become of them."""

from __future__ import annotations

import decimal
import json
import time
from typing import Any

import pytest

from monlight import window
from monlight.delivery import AGE_SECONDS_MAX
from monlight.window import Window

# Contract of POST /api/metrics.
ITEMS_MAX = 1000
BODY_BYTES_MAX = 512 * 1024


class Clock:
    """A time that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # In the middle of a minute.
        self.now = time.time() // 60 * 60 + 30
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def collected(gathered: Window) -> list[dict[str, Any]]:
    items = []
    for parcel in gathered.collect():
        batch = json.loads(parcel.body)
        assert len(batch) == parcel.weight <= ITEMS_MAX
        assert len(parcel.body) < BODY_BYTES_MAX
        items += batch
    return items


@pytest.mark.usefixtures("clock")
def test_counters_of_a_series_are_one_sum() -> None:
    gathered = Window("shop")
    for _ in range(1000):
        gathered.count("orders", 2, {"city": "berlin"})
    gathered.count("orders", 1, {"city": "bonn"})
    gathered.count("orders", 0.5, None)
    values = [(item.get("labels"), item["value"]) for item in collected(gathered)]
    assert values == [({"city": "berlin"}, 2000), ({"city": "bonn"}, 1), (None, 0.5)]
    assert collected(gathered) == []


def test_a_sum_belongs_to_its_minute(clock: Clock) -> None:
    gathered = Window(None)
    gathered.count("orders", 1, None)
    clock.now += 29
    gathered.count("orders", 1, None)
    first = clock.now
    clock.now += 5
    gathered.count("orders", 1, None)
    items = collected(gathered)
    assert [item["value"] for item in items] == [2, 1]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first - 29))
    assert items[0]["timestamp"] == stamp


def test_measurements_keep_their_time(clock: Clock) -> None:
    gathered = Window(None)
    gathered.add("seconds", "histogram", 0.5, None)
    clock.now += 600
    gathered.add("seconds", "histogram", 0.5, None)
    assert len({item["timestamp"] for item in collected(gathered)}) == 2


def test_what_is_too_old_for_the_server_stays_here(clock: Clock) -> None:
    gathered = Window(None)
    gathered.count("old", 1, None)
    gathered.add("old", "gauge", 1, None)
    clock.now += AGE_SECONDS_MAX + 1
    gathered.count("new", 1, None)
    assert [item["name"] for item in collected(gathered)] == ["new"]
    assert gathered.take_lost() == {"too_old": 2}


def test_batches_have_the_size_of_the_server() -> None:
    gathered = Window(None)
    for number in range(2500):
        gathered.add("seconds", "histogram", number, None)
    assert [parcel.weight for parcel in gathered.collect()] == [1000, 1000, 500]
    for number in range(1000):
        gathered.add("seconds", "histogram", number, {"path": "x" * 1000})
    assert len(collected(gathered)) == 1000


def test_a_refused_batch_is_halved_only_so_often() -> None:
    gathered = Window(None)
    for number in range(1000):
        gathered.add("seconds", "histogram", number, None)
    waiting, sent = list(gathered.collect()), 0
    while waiting:
        parcel = waiting.pop()
        sent += 1
        pieces = parcel.split() if parcel.split else []
        assert not pieces or sum(piece.weight for piece in pieces) == parcel.weight
        assert parcel.key not in {piece.key for piece in pieces}
        waiting += pieces
    assert sent == 31


def test_measurements_are_bounded() -> None:
    gathered = Window(None)
    for number in range(window.POINTS_MAX + 5):
        gathered.add("seconds", "histogram", number, None)
    assert gathered.take_lost() == {"queue_full": 5}
    assert len(collected(gathered)) == window.POINTS_MAX


@pytest.mark.usefixtures("clock")
def test_series_are_bounded() -> None:
    gathered = Window(None)
    for number in range(window.SUMS_MAX + 5):
        gathered.count("orders", 1, {"order": str(number)})
    # Those that are there go on.
    gathered.count("orders", 1, {"order": "0"})
    assert gathered.take_lost() == {"too_many_series": 5}
    assert collected(gathered)[0]["value"] == 2


@pytest.mark.parametrize("value", ["text", None, float("nan"), float("inf"), 10**400, [], object()])
def test_what_is_no_number_is_counted_as_lost(value: Any) -> None:
    gathered = Window(None)
    gathered.count("a", value, None)
    gathered.add("a", "gauge", value, None)
    assert collected(gathered) == []
    assert gathered.take_lost() == {"invalid": 2}


@pytest.mark.parametrize(
    ("value", "expected"), [(True, 1), (2**70, float(2**70)), (decimal.Decimal("1.5"), 1.5), (-3, -3)]
)
def test_odd_numbers_are_numbers(value: Any, expected: float) -> None:
    gathered = Window(None)
    gathered.count("a", value, None)
    gathered.add("a", "gauge", value, None)
    assert [item["value"] for item in collected(gathered)] == [expected, expected]


def test_a_sum_that_is_too_large_is_lost_alone() -> None:
    gathered = Window(None)
    gathered.count("a", 1e308, None)
    gathered.count("a", 1e308, None)
    gathered.count("b", 1, None)
    assert [item["name"] for item in collected(gathered)] == ["b"]
    assert gathered.take_lost() == {"invalid": 1}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"status": 200}, {"status": 200}),
        ({"a": True, "b": 1.5}, {"a": True, "b": 1.5}),
        ({1: "one"}, {"1": "one"}),
        ({"a": ["b"]}, {"a": "['b']"}),
        ({"a": None, "b": "c"}, {"b": "c"}),
        ({"": "empty"}, None),
        ({"a": "\ud800"}, {"a": "?"}),
        ({"\ud800": "first", "?": "second"}, {"?": "second"}),
        ({"a": 2**63 - 1, "b": 10**20}, {"a": 2**63 - 1, "b": "100000000000000000000"}),
        ({"a": float("nan")}, {"a": "nan"}),
        ({"a": "x" * 2000}, {"a": "x" * 482 + "\n[1036 characters left out]\n" + "x" * 482}),
        ({}, None),
    ],
)
def test_labels_are_what_the_server_takes(labels: Any, expected: object) -> None:
    gathered = Window(None)
    gathered.count("a", 1, labels)
    gathered.add("a", "gauge", 1, labels)
    assert [item.get("labels") for item in collected(gathered)] == [expected, expected]


def test_there_are_only_so_many_labels() -> None:
    gathered = Window(None)
    gathered.count("a", 1, {f"label {number}": "x" * 1000 for number in range(100)})
    labels = collected(gathered)[0]["labels"]
    assert 0 < len(labels) <= 32
    assert len(json.dumps(labels)) < 4096


@pytest.mark.parametrize("labels", [[1], "text", 7])
def test_labels_that_are_none_are_counted_as_lost(labels: Any) -> None:
    gathered = Window(None)
    gathered.count("a", 1, labels)
    gathered.add("a", "gauge", 1, labels)
    assert collected(gathered) == []
    assert gathered.take_lost() == {"invalid": 2}


def test_names_have_the_length_of_the_server() -> None:
    gathered = Window("p" * 200)
    gathered.count("n" * 300, 1, None)
    gathered.count("", 1, None)
    gathered.count(7, 1, None)  # type: ignore[arg-type]
    items = collected(gathered)
    assert [item["name"] for item in items] == ["n" * 200, "7"]
    assert items[0]["project"] == "p" * 100
    assert gathered.take_lost() == {"invalid": 1}
