"""A FastAPI application that crashes."""

import os

from fastapi import FastAPI

from monlight.integrations.fastapi import setup_monlight

app = FastAPI()
setup_monlight(
    app,
    error_tracker_url=os.environ["TRACKER"],
    metrics_collector_url=os.environ["COLLECTOR"],
    api_key=os.environ["KEY"],
    project="shop",
    flush_interval=0.1,
    environment="staging",
    release="1.2",
)


@app.get("/orders/{number}")
def order(number: int) -> int:
    return number


@app.get("/crash/{number}")
async def crash(number: int) -> None:
    raise LookupError(f"no such order: {number}")
