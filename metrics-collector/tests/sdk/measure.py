"""Measures with the published client, by hand and from a FastAPI application."""

import sys

from fastapi import FastAPI
from fastapi.testclient import TestClient
from monlight import MetricsClient
from monlight.integrations.fastapi import MonlightMiddleware

REQUESTS = 20


def measure(url: str, key: str) -> None:
    client = MetricsClient(url, key, project="sdk")
    for value in range(1, 101):
        client.histogram("work_seconds", value / 100, labels={"queue": "mail"})
    client.counter("jobs_total")
    client.counter("jobs_total", value=4)
    client.gauge("workers", 3)
    client.flush()


def serve(url: str, key: str) -> None:
    client = MetricsClient(url, key, project="web")
    app = FastAPI()
    app.add_middleware(MonlightMiddleware, metrics_client=client)

    @app.get("/orders/{number}")
    def order(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("broken")

    with TestClient(app, raise_server_exceptions=False) as http:
        for number in range(REQUESTS):
            assert http.get(f"/orders/{number}").status_code == 200
        assert http.get("/broken").status_code == 500
    client.flush()


def main(url: str, key: str) -> None:
    measure(url, key)
    serve(url, key)


if __name__ == "__main__":
    main(*sys.argv[1:])
