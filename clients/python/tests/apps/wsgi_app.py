"""A WSGI application that crashes, without a framework."""

import os
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import make_server

from monlight import ErrorClient, MetricsClient
from monlight.integrations.wsgi import MonlightMiddleware


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith("/orders/"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [path.removeprefix("/orders/").encode()]
    if path.startswith("/crash/"):
        raise LookupError(f"no such order: {path.removeprefix('/crash/')}")
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"nothing here"]


def endpoint(environ: dict[str, Any]) -> str | None:
    kind = environ["PATH_INFO"].split("/")[1]
    return f"/{kind}/*" if kind in ("orders", "crash") else None


key = os.environ["KEY"]
metrics = MetricsClient(os.environ["COLLECTOR"], key, project="shop", flush_interval=0.1)
metrics.start()
app = MonlightMiddleware(
    application,
    ErrorClient(os.environ["TRACKER"], key, project="shop", environment="staging", release="1.2"),
    metrics,
    endpoint,
)

with make_server("127.0.0.1", 0, app) as server:
    print(f"running on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
