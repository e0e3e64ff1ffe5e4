"""What both clients are made of."""

from __future__ import annotations

import logging
import sys

from .delivery import Line


def service_line(url: str, api_key: str, timeout: float, debug: bool) -> Line:
    """The way to an endpoint of a service."""
    if debug:
        _show(logging.getLogger("monlight"))
    # Here, because the package itself imports the clients.
    from . import __version__

    headers = {
        "X-API-Key": api_key,
        "Content-Type": "application/json",
        "User-Agent": f"monlight-python/{__version__}",
    }
    return Line(url, headers, timeout)


def _show(logger: logging.Logger) -> None:
    """Everything that happens, on standard error."""
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
