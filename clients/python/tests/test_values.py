"""What is made of an application's values: plain JSON, without secrets, within bounds, whatever they are."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monlight.plain import Copier, cut, encode, text
from monlight.report import Happening, Origin
from monlight.scrub import Scrubber

# What the server takes; contract of POST /api/errors.
BODY_BYTES_MAX = 256 * 1024


class Unprintable:
    """Fails at everything."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class HostileMapping(dict[str, int]):
    """Fails when it is looked at."""

    def items(self) -> Any:
        raise RuntimeError("no")


def copied(value: object, bytes_max: int = 64 * 1024) -> Any:
    return json.loads(encode(Copier(Scrubber(), bytes_max).copy(value)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**70, 2**70),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("é", "é"),
        ((1, [2]), [1, [2]]),
        ({"a": {1: "b"}}, {"a": {"1": "b"}}),
        (decimal.Decimal("1.10"), "1.10"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (Path("/srv"), "/srv"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\xff", "b'\\xff'"),
        ([10**5000], ["<unprintable int>"]),
        (Unprintable(), "<unprintable Unprintable>"),
        ({"a": Unprintable()}, {"a": "<unprintable Unprintable>"}),
        ({"a": 1, "b": HostileMapping()}, {"a": 1, "b": "<unprintable HostileMapping>"}),
        ("half \ud83d", "half ?"),
        ({"\ud83d": 1}, {"?": 1}),
        ("nul \x00", "nul \x00"),
    ],
)
def test_values_become_plain(value: object, expected: object) -> None:
    assert copied(value) == expected


def test_sets_become_lists() -> None:
    assert copied({1}) == [1]
    assert copied(frozenset("a")) == ["a"]


def test_cycles_end() -> None:
    cyclic: dict[str, Any] = {"name": "cart"}
    cyclic["self"] = [cyclic]
    assert copied(cyclic) == {"name": "cart", "self": ["[contains itself]"]}


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = {"a": 1}
    assert copied([shared, shared]) == [shared, shared]


def test_depth_is_bounded() -> None:
    deep: list[Any] = []
    for _ in range(1000):
        deep = [deep]
    assert encode(copied(deep)).count(b"[") < 50


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        ["x" * 1000] * 1000,
        {str(n): "\x00" * 100 for n in range(10_000)},
        [[]] * 1_000_000,
        [None] * 1_000_000,
        [0.1234567890123456] * 1_000_000,
        [2**1000] * 1_000_000,
        [Unprintable()] * 1_000_000,
        {str(n): {"token": "abc"} for n in range(10_000)},
        {str(n): False for n in range(10_000)},
    ],
    ids=range(10),
)
def test_size_is_bounded(value: object) -> None:
    encoded = encode(Copier(Scrubber(), 10_000).copy(value))
    # The last value and its note may reach beyond.
    assert len(encoded) < 10_000 * 1.1


def test_secrets_are_replaced_at_any_depth() -> None:
    value = {"user": {"Password": "p", "api-key": ["k"], "session_id": "s"}, "items": [{"auth_token": 1, "id": 2}]}
    assert copied(value) == {
        "user": {"Password": "[scrubbed]", "api-key": "[scrubbed]", "session_id": "s"},
        "items": [{"auth_token": "[scrubbed]", "id": 2}],
    }


def test_an_application_has_secrets_of_its_own() -> None:
    scrubber = Scrubber(more_secrets=["Iban", ""])
    assert scrubber.is_secret("customer_iban")
    assert not scrubber.is_secret("customer")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/pay?order=7", "https://shop.example/pay?order=7"),
        ("/pay?token=abc&order=7", "/pay?token=[scrubbed]&order=7"),
        ("/pay?order=7&Api_Key=abc#part", "/pay?order=7&Api_Key=[scrubbed]#part"),
        ("/pay?pass%77ord=abc", "/pay?pass%77ord=[scrubbed]"),
        ("/pay?token", "/pay?token"),
        ("https://me:secret@shop.example/a@b", "https://[scrubbed]@shop.example/a@b"),
        ("", ""),
    ],
)
def test_urls_lose_their_secrets(url: str, expected: str) -> None:
    assert Scrubber().url(url) == expected


@pytest.mark.parametrize("size", [1, 99, 100, 101, 5000, 100_000])
@pytest.mark.parametrize("character", ["x", "é", "\x00", "😀", "\ud800", '"'])
@pytest.mark.parametrize("bytes_max", [100, 2000])
def test_texts_are_cut_to_their_size(size: int, character: str, bytes_max: int) -> None:
    whole = character * size
    kept = cut(whole, bytes_max)
    assert len(encode(kept)) - 2 <= bytes_max
    if len(encode(whole)) - 2 <= bytes_max:
        assert kept == whole


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    kept = cut("begin" + "x" * 100_000 + "end", 2000)
    assert kept.startswith("begin")
    assert kept.endswith("end")
    assert "characters left out" in kept


def test_text_never_fails() -> None:
    assert text(Unprintable()) == "<unprintable Unprintable>"


def reported(exception: BaseException, context: dict[str, Any] | None = None, **origin: Any) -> dict[str, Any]:
    body = Origin("shop", **origin).report(Happening.of(exception), context or {})
    assert len(body) < BODY_BYTES_MAX
    report: dict[str, Any] = json.loads(body)
    return report


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


class UnprintableError(Exception):
    """Fails when it is to be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_shown() -> None:
    report = reported(caught(UnprintableError()))
    assert report["message"] == "<unprintable UnprintableError>"
    assert "test_values.py" in report["traceback"]


def test_a_huge_message_leaves_room_for_the_place() -> None:
    report = reported(caught(ValueError("x" * 10_000_000)), {"extra": {"cart": "y" * 10_000_000}})
    assert "test_values.py" in report["traceback"]
    assert report["message"].startswith("xxx")
    assert report["extra"]["cart"].startswith("yyy")


def test_everything_at_its_largest_fits_into_a_body() -> None:
    huge = "\x01" * 1_000_000
    context = {
        "request_url": huge,
        "request_method": huge,
        "request_headers": {str(n): huge for n in range(1000)},
        "user_id": huge,
        "extra": {str(n): [huge] for n in range(1000)},
    }
    reported(caught(ValueError(huge)), context, environment=huge, release=huge)


def test_names_have_the_lengths_of_the_server() -> None:
    long_named = type("E" * 300, (Exception,), {})
    report = json.loads(Origin("é" * 80, environment="e" * 80).report(Happening.of(long_named()), {}))
    assert (report["project"], report["exception_type"]) == ("é" * 50, "E" * 200)
    assert report["environment"] == "e" * 50


def test_lone_surrogates_become_readable() -> None:
    report = reported(caught(ValueError("half \ud83d")), {"extra": {"\ud800": "\udfff"}, "user_id": "\ud800"})
    assert report["message"] == "half ?"
    assert report["extra"] == {"?": "?"}


def test_deep_recursion_is_reported() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as raised:
        recurse()
    assert "recurse" in reported(raised.value)["traceback"]


def test_an_endless_chain_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "ValueError: first" in reported(first)["traceback"]


def test_the_release_is_part_of_extra() -> None:
    error = ValueError()
    assert reported(error, release="1.2")["extra"] == {"release": "1.2"}
    assert reported(error, {"extra": {"a": 1}}, release="1.2")["extra"] == {"release": "1.2", "a": 1}
    assert reported(error, {"extra": [1]}, release="1.2")["extra"] == {"release": "1.2", "value": [1]}
    assert "extra" not in reported(error)


def test_headers_that_are_no_mapping_are_no_trouble() -> None:
    assert reported(ValueError(), {"request_headers": [("a", "b")]})["request_headers"] == [["a", "b"]]


def test_a_mapping_that_changes_meanwhile_is_no_trouble() -> None:
    class Growing(dict[str, Any]):
        def __iter__(self) -> Iterator[str]:
            self[str(len(self))] = 1
            return super().__iter__()

    assert copied(Growing(a=1)) == {"a": 1}
