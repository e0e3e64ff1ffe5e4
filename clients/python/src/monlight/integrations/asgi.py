"""Request metrics for any ASGI application, without touching its bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ..metrics_client import MetricsClient
from ..timing import Timing

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class MonlightMiddleware:
    """Counts and times requests, labelled with method, route template and status."""

    def __init__(self, app: Application, metrics_client: MetricsClient) -> None:
        self.app = app
        self._metrics = metrics_client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        timing = Timing(self._metrics)
        # What is mounted in the application replaces these on the way in.
        routes = getattr(scope.get("app"), "routes", ())
        root_path = scope.get("root_path", "")

        def finish(status: int) -> None:
            timing.finish(scope["method"], lambda: _template(scope, routes, root_path), status)

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                finish(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            # An application that fails, or ends without an answer: the server says 500 for it.
            finish(500)


def _template(scope: Scope, routes: Iterable[Any], root_path: str) -> str | None:
    """The path of the route, with its placeholders."""
    if route := scope.get("route"):
        path: str | None = getattr(route, "path", None)
        return path
    # Starlette before 1.0 does not say which route it took. A partial match is one with another method.
    outer = {"type": "http", "method": scope["method"], "path": scope["path"], "root_path": root_path, "headers": []}
    matches = ((route.matches(outer)[0].name, route.path) for route in routes)
    found = dict(reversed(list(matches)))
    return found.get("FULL", found.get("PARTIAL"))
