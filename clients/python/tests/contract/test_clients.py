"""The published clients: arguments, defaults, requests. Runs unchanged against the published package and this one."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

import monlight
from monlight import ErrorClient, MetricsClient
from services import KEY, Answer, Recorder, Service, wait_for

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


def reported(recorder: Recorder, context: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    client = ErrorClient(recorder.url, KEY, **settings)
    client.report_error_sync(caught(ValueError("no such order")), context)
    body: dict[str, Any] = recorder.wait(1)[0].body
    return body


def positional(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(function).parameters.values()
    required = inspect.Parameter.empty
    return [
        (parameter.name, "required" if parameter.default is required else parameter.default)
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]


def test_arguments_and_defaults_are_the_published_ones() -> None:
    assert {"ErrorClient", "MetricsClient"} <= set(monlight.__all__)
    assert positional(ErrorClient.__init__) == [
        ("base_url", "required"),
        ("api_key", "required"),
        ("project", "default"),
        ("timeout", 5.0),
        ("excluded_headers", None),
    ]
    assert positional(MetricsClient.__init__) == [
        ("base_url", "required"),
        ("api_key", "required"),
        ("flush_interval", 10.0),
        ("timeout", 5.0),
        ("project", None),
    ]
    context = [("exception", "required"), ("request_context", None)]
    assert positional(ErrorClient.report_error_sync) == context
    assert positional(ErrorClient.report_error) == context
    assert inspect.iscoroutinefunction(ErrorClient.report_error)
    assert positional(MetricsClient.counter) == [("name", "required"), ("labels", None), ("value", 1)]
    assert positional(MetricsClient.histogram) == [("name", "required"), ("value", "required"), ("labels", None)]
    assert positional(MetricsClient.gauge) == [("name", "required"), ("value", "required"), ("labels", None)]


def test_settings_can_be_read() -> None:
    errors = ErrorClient("http://tracker.example/monlight//", "k")
    assert (errors.base_url, errors.api_key) == ("http://tracker.example/monlight", "k")
    assert (errors.project, errors.timeout) == ("default", 5.0)
    metrics = MetricsClient("http://collector.example/", "k", project="shop")
    assert (metrics.base_url, metrics.project) == ("http://collector.example", "shop")
    assert (metrics.flush_interval, metrics.timeout) == (10.0, 5.0)


def test_an_error_is_posted_with_the_key(recorder: Recorder) -> None:
    body = reported(recorder)
    request = recorder.requests[0]
    assert request.path == "/api/errors"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["content-type"] == "application/json"
    assert set(body) == {"project", "exception_type", "message", "traceback"}
    assert (body["project"], body["exception_type"], body["message"]) == ("default", "ValueError", "no such order")
    assert body["traceback"].startswith("Traceback (most recent call last):\n")
    assert body["traceback"].endswith("ValueError: no such order\n")


def test_slashes_at_the_end_of_the_url_do_not_matter(recorder: Recorder) -> None:
    ErrorClient(recorder.url + "//", KEY).report_error_sync(caught(ValueError()))
    assert recorder.wait(1)[0].path == "/api/errors"


def test_the_type_is_the_qualified_name(recorder: Recorder) -> None:
    class OrderError(Exception):
        pass

    ErrorClient(recorder.url, KEY, "shop").report_error_sync(caught(OrderError("x")))
    body = recorder.wait(1)[0].body
    assert body["exception_type"] == f"{test_the_type_is_the_qualified_name.__name__}.<locals>.OrderError"
    assert body["project"] == "shop"


def test_the_traceback_has_the_whole_chain(recorder: Recorder) -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    with pytest.raises(RuntimeError) as raised:
        fail()
    ErrorClient(recorder.url, KEY).report_error_sync(raised.value)
    traceback = recorder.wait(1)[0].body["traceback"]
    assert (
        traceback.index("KeyError: 'inner'") < traceback.index("direct cause") < traceback.index("RuntimeError: outer")
    )


def test_an_exception_that_was_never_raised_has_no_frames(recorder: Recorder) -> None:
    ErrorClient(recorder.url, KEY).report_error_sync(ValueError("at rest"))
    assert recorder.wait(1)[0].body["traceback"] == "ValueError: at rest\n"


def test_the_context_is_sent(recorder: Recorder) -> None:
    context = {
        "request_url": "https://shop.example/pay?order=7",
        "request_method": "POST",
        "request_headers": {"accept": "*/*"},
        "user_id": 42,
        "extra": {"cart": [1, 2.5, None, True], "session_id": "s-1"},
        "something": "else",
    }
    body = reported(recorder, context)
    assert body["request_url"] == "https://shop.example/pay?order=7"
    assert body["request_method"] == "POST"
    assert body["request_headers"] == {"accept": "*/*"}
    assert body["user_id"] == "42"
    assert body["extra"] == {"cart": [1, 2.5, None, True], "session_id": "s-1"}
    assert "something" not in body


@pytest.mark.parametrize("extra", [[1, 2], "text", 7])
def test_extra_may_be_any_json(recorder: Recorder, extra: object) -> None:
    assert reported(recorder, {"extra": extra})["extra"] == extra


def test_secret_headers_stay_here(recorder: Recorder) -> None:
    secret = {"Authorization": "1", "COOKIE": "2", "set-cookie": "3", "X-Api-Key": "4", "x-internal": "5"}
    shown = {"User-Agent": "curl", "x-request-id": "r"}
    body = reported(recorder, {"request_headers": {**secret, **shown}}, excluded_headers={"X-Internal"})
    assert body["request_headers"] == shown


def test_the_awaited_form_sends_the_same(recorder: Recorder) -> None:
    client = ErrorClient(recorder.url, KEY, project="shop")
    asyncio.run(client.report_error(caught(TimeoutError("late")), {"user_id": "u"}))
    body = recorder.wait(1)[0].body
    assert (body["exception_type"], body["message"], body["user_id"]) == ("TimeoutError", "late", "u")


@pytest.mark.parametrize("status", [400, 401, 413, 500])
def test_a_refusal_is_a_warning(recorder: Recorder, caplog: pytest.LogCaptureFixture, status: int) -> None:
    recorder.usual = Answer(status, text="x" * 300)
    ErrorClient(recorder.url, KEY).report_error_sync(caught(ValueError()))

    def warning() -> str | None:
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        return next((message for message in found if str(status) in message), None)

    message = wait_for("a warning", warning)
    assert "x" * 200 in message
    assert "x" * 201 not in message


def test_values_are_posted_as_an_array(recorder: Recorder) -> None:
    recorder.usual = Answer(202)
    client = MetricsClient(recorder.url, KEY)
    client.counter("orders")
    client.counter("orders", {"shop": "berlin"}, 3)
    client.histogram("seconds", 0.25, {"path": "/pay"})
    client.gauge("workers", 4, labels={"host": "a"})
    client.flush()
    request = recorder.requests[0]
    assert request.path == "/api/metrics"
    assert request.headers["x-api-key"] == KEY
    for item in request.body:
        assert TIMESTAMP.fullmatch(item.pop("timestamp"))
    assert request.body == [
        {"name": "orders", "type": "counter", "value": 1},
        {"name": "orders", "type": "counter", "value": 3, "labels": {"shop": "berlin"}},
        {"name": "seconds", "type": "histogram", "value": 0.25, "labels": {"path": "/pay"}},
        {"name": "workers", "type": "gauge", "value": 4, "labels": {"host": "a"}},
    ]


def test_the_project_is_on_every_value(recorder: Recorder) -> None:
    client = MetricsClient(recorder.url, KEY, project="shop")
    client.counter("a")
    client.gauge("b", 1)
    client.flush()
    assert [item["project"] for item in recorder.items()] == ["shop", "shop"]


def test_counters_add_up(recorder: Recorder) -> None:
    client = MetricsClient(recorder.url, KEY)
    for _ in range(100):
        client.counter("orders", {"shop": "berlin"}, value=2)
    client.flush()
    assert sum(item["value"] for item in recorder.items()) == 200


def test_nothing_is_sent_when_there_is_nothing(recorder: Recorder) -> None:
    client = MetricsClient(recorder.url, KEY)
    client.flush()
    client.counter("a")
    client.flush()
    client.flush()
    assert len(recorder.requests) == 1


def test_a_started_client_sends_by_itself(recorder: Recorder) -> None:
    client = MetricsClient(recorder.url, KEY, flush_interval=0.05)
    client.start()
    client.start()
    client.counter("first")
    recorder.wait(1)
    client.counter("second")
    recorder.wait(2)
    client.shutdown()
    assert [item["name"] for item in recorder.items()] == ["first", "second"]


def test_shutdown_sends_what_is_left(recorder: Recorder) -> None:
    client = MetricsClient(recorder.url, KEY, flush_interval=3600)
    client.start()
    client.counter("last")
    client.shutdown()
    assert [item["name"] for item in recorder.items()] == ["last"]
    client.counter("more")
    client.shutdown()
    assert [item["name"] for item in recorder.items()] == ["last", "more"]


def test_nobody_listening_is_no_trouble_of_the_application() -> None:
    # Port 9 of this machine: nobody listens there.
    ErrorClient("http://127.0.0.1:9", KEY).report_error_sync(caught(ValueError()))
    client = MetricsClient("http://127.0.0.1:9", KEY)
    client.counter("a")
    client.flush()


def test_reports_arrive_in_the_tracker(tracker: Service) -> None:
    client = ErrorClient(tracker.url, KEY, project="shop")
    client.report_error_sync(caught(ValueError("no such order")), {"request_method": "POST", "user_id": 7})
    errors = wait_for("the error", lambda: tracker.get("/api/errors?project=shop")["errors"])
    detail = tracker.get(f"/api/errors/{errors[0]['id']}")
    assert (detail["exception_type"], detail["message"]) == ("ValueError", "no such order")
    assert detail["occurrences"][0]["user_id"] == "7"


def test_values_arrive_in_the_collector(collector: Service) -> None:
    client = MetricsClient(collector.url, KEY, project="shop")
    for _ in range(5):
        client.counter("orders", {"city": "berlin"})
    client.flush()
    answer = collector.get("/api/metrics?name=orders&period=1h&project=shop&agg=sum")
    assert sum(row["value"] for row in answer["data"]) == 5
