"""Error reports and request metrics for any WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..error_client import ErrorClient
from ..metrics_client import MetricsClient
from ..timing import Timing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class MonlightMiddleware:
    """Reports what escapes from the application, and raises it again; counts and times requests.

    WSGI knows no routes, so `endpoint` may tell: it gets the environment and returns a label of which there are few.
    """

    def __init__(
        self,
        app: WSGIApplication,
        error_client: ErrorClient | None = None,
        metrics_client: MetricsClient | None = None,
        endpoint: Callable[[WSGIEnvironment], str | None] = lambda environ: environ.get("SCRIPT_NAME") or "/",
    ) -> None:
        self.app = app
        self._errors = error_client
        self._metrics = metrics_client
        self._endpoint = endpoint

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        timing = Timing(self._metrics)

        def finish(status: str) -> None:
            code = int(status[:3]) if status[:3].isdigit() else 500
            timing.finish(environ["REQUEST_METHOD"], lambda: self._endpoint(environ), code)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            finish(status)
            # Left out when there is none, because some servers know two arguments.
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self.app(environ, start)
        except Exception as error:
            self._fail(error, environ, finish)
            raise
        if _is_finished(body, environ):
            return body
        return _Body(body, lambda error: self._fail(error, environ, finish))

    def _fail(self, error: Exception, environ: WSGIEnvironment, finish: Callable[[str], None]) -> None:
        if self._errors is not None:
            self._errors.report_once(error, request_context(environ))
        finish("500")


def _is_finished(body: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    """A list, whose length tells servers the length of the answer, or a file, which they may send in their own way."""
    file_wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))


class _Body:
    """The application's body; also the errors while it is made are reported."""

    def __init__(self, body: Iterable[bytes], fail: Callable[[Exception], None]) -> None:
        self._body = body
        self._fail = fail

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except Exception as error:
            self._fail(error)
            raise

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def request_context(environ: WSGIEnvironment) -> dict[str, Any]:
    """URL, method and headers."""
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING")
    url = f"{environ.get('wsgi.url_scheme', 'http')}://{host}{path}{'?' if query else ''}{query or ''}"
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    return {"request_url": url, "request_method": environ.get("REQUEST_METHOD"), "request_headers": headers}
