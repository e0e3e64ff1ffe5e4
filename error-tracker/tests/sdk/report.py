"""Reports with the published client, synchronously, asynchronously, and from a FastAPI application that crashes."""

import asyncio
import sys

from fastapi import FastAPI
from fastapi.testclient import TestClient
from monlight import ErrorClient
from monlight.integrations.fastapi import setup_monlight


def crash(name: str, kind: type[Exception]) -> Exception:
    try:
        raise kind(f"{name} went wrong")
    except kind as error:
        return error


async def report_async(client: ErrorClient) -> None:
    await client.report_error(crash("async", TimeoutError), {"extra": {"session_id": "s-1"}})


def crashing_app(url: str, key: str) -> FastAPI:
    app = FastAPI()
    setup_monlight(app, error_tracker_url=url, api_key=key, project="sdk")

    @app.get("/crash")
    def crash_here() -> None:
        raise RuntimeError("the application crashed")

    return app


def main(url: str, key: str) -> None:
    client = ErrorClient(url, key, project="sdk")
    context = {"request_url": "https://shop.example/pay", "request_method": "POST", "user_id": 7}
    client.report_error_sync(crash("sync", ValueError), context)
    asyncio.run(report_async(client))
    # As a context, so that the event loop lives on until the report has left.
    with TestClient(crashing_app(url, key), raise_server_exceptions=False) as app:
        answer = app.get("/crash", headers={"authorization": "Bearer secret", "x-shown": "yes"})
        assert answer.status_code == 500, answer.status_code
        app.get("/")


if __name__ == "__main__":
    main(*sys.argv[1:])
