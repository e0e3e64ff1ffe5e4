"""A Starlette application that crashes."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monlight.integrations.fastapi import setup_monlight


async def order(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["number"])


async def crash(request: Request) -> PlainTextResponse:
    raise LookupError(f"no such order: {request.path_params['number']}")


app = Starlette(routes=[Route("/orders/{number}", order), Route("/crash/{number}", crash)])
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
