"""The finer points of the integrations."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from flask import Flask

from monlight import ErrorClient, MetricsClient
from monlight.integrations.asgi import MonlightMiddleware as AsgiMiddleware
from monlight.integrations.django import clients as django_clients
from monlight.integrations.fastapi import setup_monlight
from monlight.integrations.flask import setup_monlight as setup_flask
from monlight.integrations.logging import MonlightHandler
from monlight.integrations.wsgi import MonlightMiddleware as WsgiMiddleware
from monlight.integrations.wsgi import request_context
from services import KEY, Recorder, wait_for


@pytest.fixture
def metrics(recorder: Recorder) -> MetricsClient:
    return MetricsClient(recorder.url, KEY)


@pytest.fixture
def errors(recorder: Recorder) -> ErrorClient:
    return ErrorClient(recorder.url, KEY)


def counted(recorder: Recorder, metrics: MetricsClient) -> list[tuple[str, str, str, float]]:
    assert metrics.flush()
    items = [item for item in recorder.items() if item["type"] == "counter"]
    return [(*(item["labels"][name] for name in ("method", "endpoint", "status")), item["value"]) for item in items]


def durations(recorder: Recorder) -> list[float]:
    return [item["value"] for item in recorder.items() if item["type"] == "histogram"]


def reported(recorder: Recorder, errors: ErrorClient) -> list[dict[str, Any]]:
    assert errors.flush()
    return [request.body for request in recorder.requests if request.path == "/api/errors"]


async def call(app: Any, method: str = "GET", path: str = "/") -> list[Any]:
    sent: list[Any] = []

    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        # Nothing comes after the request, not even its end.
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent


def test_a_stream_is_timed_to_its_beginning_and_passes_piece_by_piece(
    recorder: Recorder, metrics: MetricsClient
) -> None:
    app = FastAPI()
    app.add_middleware(AsgiMiddleware, metrics_client=metrics)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            # Counted before the first piece has left.
            assert counted(recorder, metrics) == [("GET", "/stream", "200", 1)]
            yield b"one"
            yield b"two"

        return StreamingResponse(pieces())

    sent = asyncio.run(call(app, path="/stream"))
    assert [message.get("body") for message in sent] == [None, b"one", b"two", b""]


def test_background_tasks_do_not_count_as_time_of_the_request(recorder: Recorder, metrics: MetricsClient) -> None:
    app = FastAPI()
    app.add_middleware(AsgiMiddleware, metrics_client=metrics)
    done: list[int] = []

    @app.get("/order")
    def order(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: done.append(len(counted(recorder, metrics))))

    with TestClient(app) as client:
        assert client.get("/order").status_code == 200
    assert done == [1]


def test_an_error_after_the_beginning_counts_once(recorder: Recorder, metrics: MetricsClient) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        asyncio.run(call(AsgiMiddleware(app, metrics)))
    assert counted(recorder, metrics) == [("GET", "unmatched", "200", 1)]


def test_strangers_make_no_series(recorder: Recorder, metrics: MetricsClient) -> None:
    app = FastAPI()
    app.add_middleware(AsgiMiddleware, metrics_client=metrics)
    for number in range(5):
        asyncio.run(call(app, f"METHOD{number}", f"/.env{number}"))
    assert counted(recorder, metrics) == [("OTHER", "unmatched", "404", 5)]


def test_what_is_mounted_has_its_own_routes(recorder: Recorder, metrics: MetricsClient) -> None:
    app, part = FastAPI(), FastAPI()
    app.add_middleware(AsgiMiddleware, metrics_client=metrics)
    app.mount("/part", part)

    @part.get("/orders/{number}")
    def order(number: int) -> int:
        return number

    with TestClient(app) as client:
        assert client.get("/part/orders/7").json() == 7
    assert counted(recorder, metrics) == [("GET", "/orders/{number}", "200", 1)]


def test_websockets_pass(recorder: Recorder) -> None:
    app = FastAPI()
    metrics = setup_monlight(app, metrics_collector_url=recorder.url, api_key=KEY)["metrics_client"]

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    with TestClient(app) as client, client.websocket_connect("/socket") as connection:
        assert connection.receive_text() == "hello"
    metrics.shutdown()
    assert recorder.requests == []


def test_the_older_starlette_is_asked_for_its_route(recorder: Recorder, metrics: MetricsClient) -> None:
    class Match:
        def __init__(self, name: str) -> None:
            self.name = name

    class OldRoute:
        def __init__(self, path: str, match: str) -> None:
            self.path, self.match = path, match

        def matches(self, scope: dict[str, Any]) -> tuple[Match, dict[str, Any]]:
            assert scope["path"] == "/orders/7"
            return Match(self.match), {}

    class Application:
        routes = (OldRoute("/a", "NONE"), OldRoute("/b", "PARTIAL"), OldRoute("/c", "FULL"), OldRoute("/d", "FULL"))

        async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

    inner = Application()

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await AsgiMiddleware(inner, metrics)({**scope, "app": inner}, receive, send)

    asyncio.run(call(outer, path="/orders/7"))
    assert counted(recorder, metrics) == [("GET", "/c", "200", 1)]


def test_services_may_have_keys_of_their_own(recorder: Recorder) -> None:
    app = FastAPI()
    urls = {"error_tracker_url": recorder.url, "metrics_collector_url": recorder.url}
    clients = setup_monlight(app, **urls, api_key="one", metrics_api_key="two")  # type: ignore[arg-type]
    clients["error_client"].report_error_sync(ValueError())
    clients["metrics_client"].counter("a")
    clients["metrics_client"].shutdown()
    assert clients["error_client"].flush()
    keys = {request.path: request.headers["x-api-key"] for request in recorder.requests}
    assert keys == {"/api/errors": "one", "/api/metrics": "two"}


def test_an_exception_on_its_way_is_reported_once(recorder: Recorder) -> None:
    app = FastAPI()
    errors = setup_monlight(app, error_tracker_url=recorder.url, api_key=KEY)["error_client"]
    handler = MonlightHandler(errors)
    logging.getLogger().addHandler(handler)

    @app.get("/crash")
    def crash() -> None:
        try:
            raise ValueError("seen three times")
        except ValueError:
            logging.getLogger("shop").exception("logged on its way")
            raise

    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/crash").status_code == 500
    finally:
        logging.getLogger().removeHandler(handler)
    assert [report["message"] for report in reported(recorder, errors)] == ["seen three times"]


class ClosedError(Exception):
    """Raises whatever it is asked for."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"no {name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError(f"no {name}")


def test_an_exception_that_may_not_be_asked_is_reported(recorder: Recorder, errors: ErrorClient) -> None:
    def app(_environ: object, _start: object) -> list[bytes]:
        raise ClosedError("said")

    with pytest.raises(ClosedError):
        WsgiMiddleware(app, errors)({"REQUEST_METHOD": "GET"}, lambda *_: lambda _body: None)
    assert [report["exception_type"] for report in reported(recorder, errors)] == ["ClosedError"]


@pytest.fixture
def logger(errors: ErrorClient) -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.pay")
    handler = MonlightHandler(errors)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_a_logged_error_is_reported_at_its_line(
    recorder: Recorder, errors: ErrorClient, logger: logging.Logger
) -> None:
    logger.warning("not this")
    logger.error("order %d failed", 7, extra={"city": "berlin", "token": "abc"})
    (report,) = reported(recorder, errors)
    assert (report["exception_type"], report["message"]) == ("shop.pay.ERROR", "order 7 failed")
    assert f'File "{__file__}", line ' in report["traceback"]
    assert report["extra"]["city"] == "berlin"
    assert report["extra"]["token"] == "[scrubbed]"
    assert report["extra"]["logger"] == "shop.pay"


def test_a_record_that_cannot_be_put_together_is_reported(
    recorder: Recorder, errors: ErrorClient, logger: logging.Logger
) -> None:
    logger.propagate = False
    logger.error("%d orders", "seven")
    logger.propagate = True
    (report,) = reported(recorder, errors)
    assert report["message"] == "%d orders ('seven',)"


def test_our_own_troubles_are_not_reported(recorder: Recorder, errors: ErrorClient) -> None:
    handler = MonlightHandler(errors, logging.DEBUG)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        errors.report_error_sync(ValueError("one"))
        wait_for("the report", lambda: errors.stats()["delivered"] == 1)
        logging.getLogger("monlight.error_client").error("trouble")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert [report["message"] for report in reported(recorder, errors)] == ["one"]


def start(_status: str, _headers: Any, _exc_info: Any = None) -> Any:
    return lambda _: None


ENVIRON: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "shop.example"}


def test_a_wsgi_body_that_breaks_is_reported_and_closed(
    recorder: Recorder, errors: ErrorClient, metrics: MetricsClient
) -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            raise ValueError("broken")

        def close(self) -> None:
            closed.append(True)

    def app(_environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    body: Any = WsgiMiddleware(app, errors, metrics)(dict(ENVIRON), start)
    pieces = iter(body)
    assert next(pieces) == b"one"
    with pytest.raises(ValueError, match="broken"):
        next(pieces)
    body.close()
    assert closed == [True]
    assert [report["message"] for report in reported(recorder, errors)] == ["broken"]
    recorder.requests.clear()
    assert counted(recorder, metrics) == [("GET", "/", "200", 1)]


def test_a_wsgi_generator_is_counted_when_it_starts(recorder: Recorder, metrics: MetricsClient) -> None:
    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("204 No Content", [])
        yield b""

    list(WsgiMiddleware(app, None, metrics)(dict(ENVIRON), start))
    assert counted(recorder, metrics) == [("GET", "/", "204", 1)]


def test_finished_wsgi_bodies_pass_as_they_are() -> None:
    file = FileWrapper(io.BytesIO(b"file"))
    bodies: list[Any] = [[b"list"], (b"tuple",), file]
    for body in bodies:
        app = WsgiMiddleware(lambda _environ, _start, body=body: body)  # type: ignore[misc]
        assert app({**ENVIRON, "wsgi.file_wrapper": FileWrapper}, start) is body


def test_a_wsgi_request_has_a_url() -> None:
    environ = {**ENVIRON, "wsgi.url_scheme": "https", "SCRIPT_NAME": "/a", "PATH_INFO": "/b", "QUERY_STRING": "c=d"}
    context = request_context(environ)
    assert context["request_url"] == "https://shop.example/a/b?c=d"
    assert context["request_headers"] == {"host": "shop.example"}


def test_flask_errors_that_go_on_to_the_server_are_counted(
    recorder: Recorder, errors: ErrorClient, metrics: MetricsClient
) -> None:
    app = Flask(__name__)
    app.testing = True
    setup_flask(app, errors, metrics)

    @app.get("/crash")
    def crash() -> str:
        raise ValueError("crashed")

    @app.errorhandler(KeyError)
    def taken(_: KeyError) -> tuple[str, int]:
        return "taken", 409

    @app.get("/taken")
    def take() -> str:
        raise KeyError

    client = app.test_client()
    with pytest.raises(ValueError, match="crashed"):
        client.get("/crash")
    assert client.get("/taken").status_code == 409
    assert [report["message"] for report in reported(recorder, errors)] == ["crashed"]
    recorder.requests.clear()
    assert counted(recorder, metrics) == [("GET", "/crash", "500", 1), ("GET", "/taken", "409", 1)]
    assert len(durations(recorder)) == 2
    metrics.shutdown()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "MONLIGHT: api_key is missing"),
        ({"api_key": "k", "projects": "shop", "url": ""}, "MONLIGHT: unknown projects, url"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, str], expected: str) -> None:
    if not settings.configured:
        settings.configure()
    django_clients.cache_clear()
    with override_settings(MONLIGHT=given), pytest.raises(ImproperlyConfigured, match=expected):
        django_clients()


def test_settings_without_urls_make_no_clients() -> None:
    if not settings.configured:
        settings.configure()
    django_clients.cache_clear()
    with override_settings(MONLIGHT={"api_key": "k", "environment": "staging"}):
        assert django_clients() == (None, None)
    django_clients.cache_clear()
