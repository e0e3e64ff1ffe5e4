"""Reports exceptions to error-tracker."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from .client import service_line
from .delivery import Parcel
from .report import Happening, Origin
from .scrub import Scrubber
from .sender import Sender

logger = logging.getLogger(__name__)

_MARK = "__monlight_reported__"


class ErrorClient:
    """Takes exceptions at once and delivers them in the background; the end of the process waits for `timeout` seconds.

    No method raises, and none but `flush` waits for anything.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        project: str = "default",
        timeout: float = 5.0,
        excluded_headers: set[str] | None = None,
        *,
        environment: str | None = None,
        release: str | None = None,
        sensitive_keys: Iterable[str] = (),
        debug: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.project = project
        self.timeout = timeout
        self._origin = Origin(project, environment, release, Scrubber(excluded_headers or (), sensitive_keys))
        line = service_line(f"{self.base_url}/api/errors", api_key, timeout, debug)
        self._sender = Sender(line, timeout=timeout, logger=logger, what="error reports")

    async def report_error(self, exception: BaseException, request_context: dict[str, Any] | None = None) -> None:
        """The same as `report_error_sync`, for callers that await it."""
        self.report_error_sync(exception, request_context)

    def report_error_sync(self, exception: BaseException, request_context: Mapping[str, Any] | None = None) -> None:
        """Reports an exception.

        The context may have `request_url`, `request_method`, `request_headers`, `user_id` and `extra`.
        """
        _mark(exception)
        # A storm of errors should not cost the application their tracebacks when there is no room for them.
        if self._sender.has_room():
            self.report(Happening.of(exception), request_context)
        else:
            self._sender.lose("queue_full", 1)

    def report_once(self, exception: BaseException, request_context: Mapping[str, Any] | None = None) -> None:
        """For what catches everything: reports an exception unless that has been done on its way here."""
        if not is_reported(exception):
            self.report_error_sync(exception, request_context)

    def report(self, happening: Happening, request_context: Mapping[str, Any] | None = None) -> None:
        """Reports what is no exception."""
        try:
            context = request_context if isinstance(request_context, Mapping) else {}
            if not self._sender.submit(Parcel(self._origin.report(happening, context))):
                self._sender.lose("queue_full", 1)
        except Exception as failure:
            # Ours, then, or the interpreter is being taken apart: not the application's trouble.
            self._sender.lose("invalid", 1, type(failure).__name__)

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until every report has arrived. False when an attempt failed or the time was over: they still wait."""
        return self._sender.flush(self.timeout if timeout is None else timeout)

    def stats(self) -> dict[str, int]:
        """How many reports were `delivered`, are `waiting` to be sent, or `lost_` for which reason; and `retries`."""
        return self._sender.stats()


def is_reported(exception: BaseException) -> bool:
    try:
        return getattr(exception, _MARK, False) is True
    except Exception:
        # One whose attributes cannot be asked for.
        return False


def _mark(exception: BaseException) -> None:
    # One that takes no attributes may be reported twice.
    with suppress(Exception):
        setattr(exception, _MARK, True)
