"""Applications of all frameworks that really crash, below real servers, against the real services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import monlight
from services import KEY, Service, wait_for

SOURCES = Path(monlight.__file__).parents[1]
APPS = Path(__file__).parent / "apps"
UVICORN = ("-m", "uvicorn", "--port", "0", "--app-dir", str(APPS))
RUNNING = re.compile(r"running on (http://[\d.:]+)", re.IGNORECASE)


@contextmanager
def running(command: tuple[str, ...], tracker: Service, collector: Service, folder: Path) -> Iterator[str]:
    """The address of an application in a process of its own."""
    services = {"TRACKER": tracker.url, "COLLECTOR": collector.url, "KEY": KEY, "PYTHONPATH": str(SOURCES)}
    log = folder / "app.log"
    with log.open("w") as file:
        arguments = [sys.executable, *command]
        process = subprocess.Popen(arguments, env={**os.environ, **services}, cwd=APPS, stdout=file, stderr=file)
    try:
        yield wait_for("the application", lambda: RUNNING.search(log.read_text()))[1]
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(
    ("command", "order", "crash"),
    [
        ((*UVICORN, "fastapi_app:app"), "/orders/{number}", "/crash/{number}"),
        ((*UVICORN, "starlette_app:app"), "/orders/{number}", "/crash/{number}"),
        (("-m", "flask", "--app", "flask_app", "run", "--port", "0"), "/orders/<number>", "/crash/<number>"),
        ((*UVICORN, "django_app:app"), "/orders/<int:number>", "/crash/<int:number>"),
        (("django_app.py",), "/orders/<int:number>", "/crash/<int:number>"),
        (("wsgi_app.py",), "/orders/*", "/crash/*"),
    ],
    ids=["fastapi", "starlette", "flask", "django-asgi", "django-wsgi", "wsgi"],
)
def test_a_crash_is_reported_and_requests_are_counted(
    command: tuple[str, ...],
    order: str,
    crash: str,
    tracker: Service,
    collector: Service,
    tmp_path: Path,
) -> None:
    headers = {"authorization": "Bearer secret", "x-shown": "yes"}
    with running(command, tracker, collector, tmp_path) as url:
        paths = ["/orders/7"] * 3 + ["/crash/7?token=abc"] * 2 + ["/nowhere"]
        statuses = [httpx.get(url + path, headers=headers).status_code for path in paths]
        assert statuses == [200] * 3 + [500] * 2 + [404]
        errors = wait_for("the reports", lambda: counted(tracker, 2))
        assert len(errors) == 1
        detail = tracker.get(f"/api/errors/{errors[0]['id']}")
        assert (detail["exception_type"], detail["message"]) == ("LookupError", "no such order: 7")
        assert "raise LookupError" in detail["traceback"]
        occurrence = detail["occurrences"][0]
        assert (occurrence["request_method"], occurrence["environment"]) == ("GET", "staging")
        assert occurrence["request_url"] == f"{url}/crash/7?token=[scrubbed]"
        assert occurrence["extra"] == {"release": "1.2"}
        shown = {name.lower(): value for name, value in occurrence["request_headers"].items()}
        assert shown["x-shown"] == "yes"
        assert "authorization" not in shown

        path = "/api/metrics?name=http_requests_total&period=1h&agg=sum&group_by=method,endpoint,status"
        expected = {(order, "200"): 3, (crash, "500"): 2, ("unmatched", "404"): 1}
        wait_for("the sums", lambda: sums(collector, path) == expected)
        requests = collector.get("/api/dashboard?period=1h&project=shop")["requests"]
        assert (requests["count"], requests["errors"]) == (6, 2)


def counted(tracker: Service, count: int) -> list[dict[str, object]] | None:
    errors: list[dict[str, object]] = tracker.get("/api/errors?project=shop&environment=staging")["errors"]
    return errors if sum(error["count"] for error in errors) == count else None  # type: ignore[misc]


def sums(collector: Service, path: str) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for row in collector.get(path)["data"]:
        labels = row["labels"]
        assert labels["method"] == "GET"
        key = (labels["endpoint"], labels["status"])
        found[key] = found.get(key, 0) + row["value"]
    return found
