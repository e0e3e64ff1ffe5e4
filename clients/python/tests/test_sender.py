"""How parcels leave: retries, refusals, bounds, and what is told about them. Time passes as the tests say."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import httpx
import pytest
from pytest_httpx import HTTPXMock

from monlight import ErrorClient, MetricsClient, delivery, sender
from services import wait_for

URL = "http://tracker.example"
ERRORS = f"{URL}/api/errors"
METRICS = f"{URL}/api/metrics"

pytestmark = pytest.mark.httpx_mock(can_send_already_matched_responses=True, assert_all_responses_were_requested=False)


@pytest.fixture(autouse=True)
def _clients_of_other_tests_are_done() -> None:
    # They would go on trying, and the mock answers whoever sends.
    for other in list(sender._senders):
        other.leave(0.0, 0.0)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(sender, "PAUSE_SECONDS_MAX", 0.02)


def delivered(client: ErrorClient | MetricsClient, count: int = 1) -> None:
    wait_for("the delivery", lambda: client.stats()["delivered"] == count)


def lost(client: ErrorClient | MetricsClient, reason: str, count: int = 1) -> None:
    wait_for(f"a loss, {reason}", lambda: client.stats().get(f"lost_{reason}", 0) == count)


def keys(httpx_mock: HTTPXMock) -> list[str]:
    return [request.headers["idempotency-key"] for request in httpx_mock.get_requests()]


def answer_by_content(httpx_mock: HTTPXMock, word: bytes, status: int, otherwise: int) -> None:
    httpx_mock.add_callback(lambda request: httpx.Response(status if word in request.content else otherwise))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507])
def test_what_may_pass_is_tried_again_with_the_same_key(httpx_mock: HTTPXMock, status: int) -> None:
    httpx_mock.add_response(url=ERRORS, status_code=status, is_reusable=False)
    httpx_mock.add_response(url=ERRORS, status_code=status, is_reusable=False)
    httpx_mock.add_response(url=ERRORS, status_code=201)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    delivered(client)
    assert client.stats() == {"delivered": 1, "retries": 2, "waiting": 0}
    assert len(set(keys(httpx_mock))) == 1
    assert len(keys(httpx_mock)) == 3
    assert len({request.content for request in httpx_mock.get_requests()}) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.ReadTimeout("late"),
        httpx.WriteError("gone"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_a_broken_connection_is_tried_again(httpx_mock: HTTPXMock, failure: Exception) -> None:
    httpx_mock.add_exception(failure, is_reusable=False)
    httpx_mock.add_response(status_code=201)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    delivered(client)
    assert client.stats()["retries"] == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_a_refusal_is_final_and_told(httpx_mock: HTTPXMock, caplog: pytest.LogCaptureFixture, status: int) -> None:
    httpx_mock.add_response(status_code=status, text='{"detail":"no"}')
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    lost(client, "refused")
    assert len(httpx_mock.get_requests()) == 1
    wait_for("the warning", lambda: f'returned status {status}: {{"detail":"no"}}' in caplog.text)


def test_a_different_report_has_a_different_key(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=201)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    client.report_error_sync(ValueError())
    delivered(client, 2)
    assert len(set(keys(httpx_mock))) == 2


def test_a_report_that_breaks_the_server_does_not_stop_the_others(httpx_mock: HTTPXMock) -> None:
    answer_by_content(httpx_mock, b"poison", 500, 201)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError("poison"))
    client.report_error_sync(ValueError("fine"))
    delivered(client)
    lost(client, "refused")
    assert len(httpx_mock.get_requests()) == sender.BROKEN_MAX + 1


def test_the_server_says_how_long_to_wait(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float | None] = []
    pause = sender.Sender._pause

    def noted(self: sender.Sender, retry_after: float | None) -> None:
        pauses.append(retry_after)
        pause(self, None if retry_after is None else 0.001)

    monkeypatch.setattr(sender.Sender, "_pause", noted)
    for value in ("7", "100000", "-3", "soon"):
        httpx_mock.add_response(status_code=429, headers={"Retry-After": value}, is_reusable=False)
    httpx_mock.add_response(status_code=201)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    delivered(client)
    assert pauses == [7, delivery.RETRY_AFTER_SECONDS_MAX, 0, None]


def test_pauses_grow_to_their_bound_with_some_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(sender, "PAUSE_SECONDS_MAX", 15.0)
    monkeypatch.setattr("random.uniform", lambda _, high: high)
    times = iter([0.0] * 100)
    line = delivery.Line(ERRORS, {}, 5.0)
    tried = sender.Sender(line, timeout=5.0, logger=logging.getLogger("test"), what="reports")
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    pauses = []
    for _ in range(8):
        tried._pause(None)
        pauses.append(tried._not_before)
    monkeypatch.undo()
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_a_flush_does_not_wait_for_a_server_that_is_away(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ConnectError("refused"))
    client = MetricsClient(URL, "k", timeout=60)
    client.counter("a")
    assert client.flush() is False
    assert client.stats()["waiting"] == 1
    httpx_mock.reset()
    httpx_mock.add_response(status_code=202)
    assert client.flush() is True
    assert client.stats()["delivered"] == 1


def test_a_flush_does_not_wait_as_long_as_the_server_wants(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, headers={"Retry-After": "300"})
    client = ErrorClient(URL, "k", timeout=60)
    client.report_error_sync(ValueError())
    wait_for("the answer", lambda: client.stats()["retries"] == 1)
    assert client.flush() is False
    # And does not bother it.
    assert len(httpx_mock.get_requests()) == 1


def test_the_queue_is_bounded(
    httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "PARCELS_MAX", 3)
    httpx_mock.add_response(status_code=429, headers={"Retry-After": "300"})
    client = ErrorClient(URL, "k")
    for _ in range(10):
        client.report_error_sync(ValueError())
    # Else it would ask the server of the next test.
    wait_for("the answer", lambda: client.stats()["retries"] == 1)
    assert client.stats()["waiting"] == 3
    assert client.stats()["lost_queue_full"] == 7
    # Said once, not seven times.
    warnings = [record for record in caplog.records if "queue full" in record.getMessage()]
    assert len([record for record in warnings if record.levelno == logging.WARNING]) == 1


def test_the_bytes_in_the_queue_are_bounded(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PARCELS_BYTES_MAX", 100_000)
    httpx_mock.add_response(status_code=429, headers={"Retry-After": "300"})
    client = ErrorClient(URL, "k")
    for _ in range(10):
        client.report_error_sync(ValueError("x" * 20_000))
    wait_for("the answer", lambda: client.stats()["retries"] == 1)
    assert client.stats()["waiting"] == 2
    assert client.stats()["lost_queue_full"] == 8


def test_what_is_too_old_is_not_sent(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "AGE_SECONDS_MAX", -1.0)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    lost(client, "too_old")
    assert httpx_mock.get_requests() == []


def test_a_refused_batch_loses_only_what_is_beside_the_wrong_value(httpx_mock: HTTPXMock) -> None:
    answer_by_content(httpx_mock, b"wrong", 400, 202)
    client = MetricsClient(URL, "k")
    for number in range(320):
        client.histogram("wrong" if number == 100 else "right", number)
    assert client.flush() is True
    assert client.stats()["delivered"] == 300
    assert client.stats()["lost_refused"] == 20


def test_a_wrong_key_is_not_tried_in_parts(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=401)
    client = MetricsClient(URL, "k")
    for number in range(100):
        client.histogram("a", number)
    client.flush()
    lost(client, "refused", 100)
    assert len(httpx_mock.get_requests()) == 1


def test_a_full_batch_does_not_wait_for_its_time(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=202)
    client = MetricsClient(URL, "k", flush_interval=3600)
    client.start()
    for number in range(1000):
        client.histogram("a", number)
    delivered(client, 1000)
    client.shutdown()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ErrorClient("no address", "k"),
        lambda: ErrorClient("ftp://tracker.example", "k"),
        lambda: ErrorClient("http://[::1", "k"),
        lambda: ErrorClient(URL, "kéy\n"),
    ],
)
def test_what_can_never_work_is_told(make: Callable[[], ErrorClient], caplog: pytest.LogCaptureFixture) -> None:
    client = make()
    client.report_error_sync(ValueError())
    lost(client, "refused")
    wait_for("the warning", lambda: "lost so far, refused" in caplog.text)


def test_the_thread_ends_when_nothing_is_to_be_done(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_SECONDS", 0.01)
    httpx_mock.add_response(status_code=201)
    client = ErrorClient(URL, "k")
    for count in (1, 2):
        client.report_error_sync(ValueError())
        delivered(client, count)
        wait_for("the end of the thread", lambda: client._sender._thread is None)


def test_without_threads_a_flush_sends(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", fail)
    httpx_mock.add_response(status_code=503, is_reusable=False)
    httpx_mock.add_response(status_code=202)
    errors = ErrorClient(URL, "k")
    errors.report_error_sync(ValueError())
    assert errors.stats()["waiting"] == 1
    assert errors.flush() is False
    assert errors.flush() is True
    metrics = MetricsClient(URL, "k")
    metrics.start()
    metrics.counter("a")
    assert metrics.flush() is True


def test_debug_shows_what_happens(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    package = logging.getLogger("monlight")
    monkeypatch.setattr(package, "handlers", [])
    monkeypatch.setattr(package, "level", logging.NOTSET)
    said: list[str] = []
    monkeypatch.setattr(logging.StreamHandler, "emit", lambda _, record: said.append(record.getMessage()))
    httpx_mock.add_response(status_code=201)
    ErrorClient(URL, "k", debug=True).report_error_sync(ValueError())
    wait_for("the words", lambda: any(re.match(rf"{ERRORS}: 201 for \d+ bytes, \d+ ms", line) for line in said))


def test_a_filter_that_raises_is_no_trouble(httpx_mock: HTTPXMock) -> None:
    def fail(_: logging.LogRecord) -> bool:
        raise RuntimeError("no")

    logger = logging.getLogger("monlight.error_client")
    logger.addFilter(fail)
    try:
        httpx_mock.add_response(status_code=503, is_reusable=False)
        httpx_mock.add_response(status_code=201)
        client = ErrorClient(URL, "k", debug=False)
        client.report_error_sync(ValueError())
        delivered(client)
    finally:
        logger.removeFilter(fail)


def test_a_mistake_of_ours_does_not_end_the_thread(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    httpx_mock.add_response(status_code=201)
    settle = sender.Sender._settle
    mistakes = [RuntimeError("ours"), RuntimeError("again")]

    def mistaken(self: sender.Sender, parcel: delivery.Parcel, outcome: delivery.Outcome) -> None:
        if mistakes:
            raise mistakes.pop()
        settle(self, parcel, outcome)

    monkeypatch.setattr(sender.Sender, "_settle", mistaken)
    client = ErrorClient(URL, "k")
    client.report_error_sync(ValueError())
    delivered(client)
    assert mistakes == []


def test_metrics_go_on_when_threads_were_short(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    httpx_mock.add_response(status_code=202)
    client = MetricsClient(URL, "k", flush_interval=0.01)
    with monkeypatch.context() as short:
        short.setattr("threading.Thread.start", fail)
        client.start()
        client.counter("a")
        client.counter("a")
    client.counter("b")
    delivered(client, 2)
    client.shutdown()
