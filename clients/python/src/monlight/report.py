"""An exception and its circumstances, made into the body of a report that the server takes."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .plain import Copier, Json, cut, encode, text
from .scrub import Scrubber

# Limits of the server: longer ones are refused.
PROJECT_BYTES_MAX = 100
TYPE_BYTES_MAX = 200
ENVIRONMENT_CHARACTERS_MAX = 50
# The server takes a body of 256 KB. These are what each part may take of it as JSON; together they stay below.
MESSAGE_BYTES_MAX = 48 * 1024
TRACEBACK_BYTES_MAX = 96 * 1024
EXTRA_BYTES_MAX = 64 * 1024
HEADERS_BYTES_MAX = 24 * 1024
URL_BYTES_MAX = 4 * 1024
METHOD_BYTES_MAX = 100
USER_BYTES_MAX = 400
RELEASE_BYTES_MAX = 400


@dataclass(frozen=True)
class Happening:
    """What went wrong."""

    exception_type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, exception: BaseException) -> Happening:
        return cls(type(exception).__qualname__, text(exception), _traceback(exception))


@dataclass(frozen=True)
class Origin:
    """Where reports come from: the same for all of a client."""

    project: str
    environment: str | None = None
    release: str | None = None
    scrubber: Scrubber = field(default_factory=Scrubber)

    def report(self, happening: Happening, context: Mapping[str, Any]) -> bytes:
        """The body of the request."""
        report: dict[str, Json] = {
            "project": cut(self.project, PROJECT_BYTES_MAX),
            "exception_type": cut(happening.exception_type, TYPE_BYTES_MAX),
            "message": cut(happening.message, MESSAGE_BYTES_MAX),
            "traceback": cut(happening.traceback, TRACEBACK_BYTES_MAX),
        }
        if self.environment:
            report["environment"] = self.environment[:ENVIRONMENT_CHARACTERS_MAX]
        if (url := context.get("request_url")) is not None:
            report["request_url"] = cut(self.scrubber.url(text(url)), URL_BYTES_MAX)
        if (method := context.get("request_method")) is not None:
            report["request_method"] = cut(text(method), METHOD_BYTES_MAX)
        if (headers := context.get("request_headers")) is not None:
            report["request_headers"] = self._headers(headers)
        if (user := context.get("user_id")) is not None:
            report["user_id"] = cut(text(user), USER_BYTES_MAX)
        if (extra := self._extra(context.get("extra"))) is not None:
            report["extra"] = extra
        return encode(report)

    def _headers(self, headers: object) -> Json:
        if isinstance(headers, Mapping):
            headers = {
                name: value for name, value in list(headers.items()) if not self.scrubber.is_left_out(text(name))
            }
        return Copier(self.scrubber, HEADERS_BYTES_MAX).copy(headers)

    def _extra(self, given: object) -> Json:
        extra = None if given is None else Copier(self.scrubber, EXTRA_BYTES_MAX).copy(given)
        if self.release is None:
            return extra
        # Where browser-relay puts it too. What an application says itself counts.
        release = cut(self.release, RELEASE_BYTES_MAX)
        if extra is None:
            return {"release": release}
        return {"release": release, **extra} if isinstance(extra, dict) else {"release": release, "value": extra}


def _traceback(exception: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    except Exception as failure:
        return f"<no traceback: {type(failure).__name__} while it was made>"
