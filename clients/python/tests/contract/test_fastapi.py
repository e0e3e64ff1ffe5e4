"""The published FastAPI integration. Runs unchanged against the published package and this one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monlight import ErrorClient, MetricsClient
from monlight.integrations.fastapi import MonlightExceptionHandler, MonlightMiddleware, setup_monlight
from services import KEY, Answer, Recorder

INTERNAL = '{"detail":"Internal server error"}'


def routes() -> APIRouter:
    router = APIRouter()

    @router.get("/orders/{number}")
    def order(number: int) -> int:
        return number

    @router.get("/crash/{number}")
    async def crash(number: int) -> None:
        raise RuntimeError(f"order {number} crashed")

    @router.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    return router


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(routes())
    return app


def visit(app: Callable[..., Any], path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    # As a context, so that the event loop lives until everything has left.
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.text


def measured(recorder: Recorder, metrics: MetricsClient) -> list[tuple[str, str, dict[str, str]]]:
    metrics.flush()
    return [(item["name"], item["type"], item["labels"]) for item in recorder.items()]


def both(endpoint: str, status: str) -> list[tuple[str, str, dict[str, str]]]:
    labels = {"method": "GET", "endpoint": endpoint, "status": status}
    return [
        ("http_requests_total", "counter", labels),
        ("http_request_duration_seconds", "histogram", labels),
    ]


def test_arguments_and_defaults_are_the_published_ones() -> None:
    parameters = inspect.signature(setup_monlight).parameters
    assert next(iter(parameters)) == "app"
    required = inspect.Parameter.empty
    published = {
        "error_tracker_url": None,
        "metrics_collector_url": None,
        "api_key": required,
        "project": "default",
        "flush_interval": 10.0,
    }
    for name, default in published.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is default or parameters[name].default == default
    assert inspect.iscoroutinefunction(MonlightExceptionHandler)
    assert list(inspect.signature(MonlightExceptionHandler).parameters) == ["request", "exc"]


def test_what_has_no_url_is_not_set_up() -> None:
    app = application()
    assert setup_monlight(app, api_key=KEY) == {"error_client": None, "metrics_client": None}
    assert app.user_middleware == []


def test_setup_returns_the_clients(recorder: Recorder) -> None:
    recorder.usual = Answer(202)
    app = application()
    clients = setup_monlight(
        app, error_tracker_url=recorder.url, metrics_collector_url=recorder.url, api_key=KEY, project="shop"
    )
    assert isinstance(clients["error_client"], ErrorClient)
    assert isinstance(clients["metrics_client"], MetricsClient)
    assert app.state.monlight_error_client is clients["error_client"]
    assert (clients["error_client"].project, clients["metrics_client"].project) == ("shop", "shop")
    clients["metrics_client"].shutdown()


def test_a_crash_is_reported_with_its_request(recorder: Recorder) -> None:
    app = application()
    setup_monlight(app, error_tracker_url=recorder.url, api_key=KEY, project="shop")
    answer = visit(app, "/crash/7?from=mail", {"authorization": "Bearer secret", "x-shown": "yes"})
    assert answer == (500, INTERNAL)
    body = recorder.wait(1)[0].body
    assert (body["project"], body["exception_type"], body["message"]) == ("shop", "RuntimeError", "order 7 crashed")
    assert body["request_url"] == "http://testserver/crash/7?from=mail"
    assert body["request_method"] == "GET"
    assert body["request_headers"]["x-shown"] == "yes"
    assert "authorization" not in body["request_headers"]
    assert "in crash" in body["traceback"]


def test_what_the_application_answers_is_not_reported(recorder: Recorder) -> None:
    app = application()
    setup_monlight(app, error_tracker_url=recorder.url, api_key=KEY)
    assert visit(app, "/teapot") == (418, '{"detail":"short and stout"}')
    assert visit(app, "/orders/seven")[0] == 422
    assert visit(app, "/crash/1")[0] == 500
    assert recorder.wait(1)[0].body["message"] == "order 1 crashed"


def test_a_crash_is_logged(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    app = application()
    setup_monlight(app, error_tracker_url=recorder.url, api_key=KEY)
    visit(app, "/crash/7")
    logged = [record for record in caplog.records if record.name == "monlight.integrations.fastapi"]
    crash = next(record for record in logged if record.levelno == logging.ERROR)
    assert crash.getMessage() == "Unhandled exception: order 7 crashed"
    assert crash.exc_info is not None


@pytest.mark.parametrize(
    ("path", "endpoint", "status"),
    [
        ("/orders/7", "/orders/{number}", "200"),
        ("/orders/seven", "/orders/{number}", "422"),
        ("/teapot", "/teapot", "418"),
        ("/crash/7", "/crash/{number}", "500"),
    ],
)
def test_requests_are_counted_and_timed(recorder: Recorder, path: str, endpoint: str, status: str) -> None:
    recorder.usual = Answer(202)
    app = application()
    clients = setup_monlight(app, metrics_collector_url=recorder.url, api_key=KEY, project="shop")
    assert visit(app, path)[0] == int(status)
    assert measured(recorder, clients["metrics_client"]) == both(endpoint, status)
    counter, histogram = recorder.items()
    assert counter["value"] == 1
    assert 0 < histogram["value"] < 10
    assert (counter["project"], histogram["project"]) == ("shop", "shop")
    clients["metrics_client"].shutdown()


def test_starlette_works_too(recorder: Recorder) -> None:
    async def hello(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def crash(_: Request) -> PlainTextResponse:
        raise ValueError("starlette crashed")

    recorder.usual = Answer(202)
    app = Starlette(routes=[Route("/hello/{name}", hello), Route("/crash", crash)])
    metrics = setup_monlight(app, metrics_collector_url=recorder.url, api_key=KEY)["metrics_client"]
    assert visit(app, "/hello/you") == (200, "hello")
    assert measured(recorder, metrics) == both("/hello/{name}", "200")
    metrics.shutdown()

    recorder.requests.clear()
    app = Starlette(routes=[Route("/crash", crash)])
    setup_monlight(app, error_tracker_url=recorder.url, api_key=KEY)
    assert visit(app, "/crash")[0] == 500
    assert recorder.wait(1)[0].body["message"] == "starlette crashed"


def test_parts_can_be_put_together_by_hand(recorder: Recorder) -> None:
    recorder.usual = Answer(202)
    app = application()
    metrics = MetricsClient(recorder.url, KEY)
    app.add_middleware(MonlightMiddleware, metrics_client=metrics)
    app.add_exception_handler(Exception, MonlightExceptionHandler)
    # Without a client the answer is the same.
    assert visit(app, "/crash/1") == (500, INTERNAL)
    assert measured(recorder, metrics) == both("/crash/{number}", "500")
    app.state.monlight_error_client = ErrorClient(recorder.url, KEY)
    recorder.requests.clear()
    assert visit(app, "/crash/2")[0] == 500
    assert recorder.wait(1)[0].body["message"] == "order 2 crashed"
