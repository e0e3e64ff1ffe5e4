"""A handler for `logging`: what is logged as an error is reported."""

from __future__ import annotations

import logging

from ..error_client import ErrorClient, is_reported
from ..plain import text
from ..report import Happening
from ..sender import is_sending

# What every record has; the rest came with `extra=`.
_USUAL = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


class MonlightHandler(logging.Handler):
    """Reports records with their exception, or else as an error at the line that logged it."""

    def __init__(self, client: ErrorClient, level: int | str = logging.ERROR) -> None:
        super().__init__(level)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        # Our own troubles would come back for ever.
        if is_sending() or record.name == "monlight" or record.name.startswith("monlight."):
            return
        try:
            self._report(record)
        except Exception:
            self.handleError(record)

    def _report(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[1] if record.exc_info else None
        given = {name: value for name, value in record.__dict__.items() if name not in _USUAL}
        extra = {**given, "logger": record.name, "level": record.levelname, "log_message": _message(record)}
        if exception is None:
            self._client.report(_happening(record), {"extra": extra})
        elif not is_reported(exception):
            self._client.report_error_sync(exception, {"extra": extra})


def _happening(record: logging.LogRecord) -> Happening:
    # In the form that error-tracker reads the place from: the same line is the same error, whatever the words.
    place = f'  File "{record.pathname}", line {record.lineno}, in {record.funcName}\n'
    stack = record.stack_info or f"Logged at:\n{place}"
    return Happening(f"{record.name}.{record.levelname}", _message(record), stack)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        # Arguments that do not fit the message.
        return f"{text(record.msg)} {text(record.args)}"
