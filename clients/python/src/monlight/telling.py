"""What the clients say to the application's log, with care for forks."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress

# How long a fork waits for what is being logged: that usually takes no time, but may never end, where the fork is made
# by what the logging waits for.
FORK_PATIENCE_SECONDS = 0.5
# How often it looks. There is no lock that both could wait for: they may hold others that the other one needs.
FORK_STEP_SECONDS = 0.001

# Threads, once for each message that they are logging.
_talkers: list[int] = []


def tell(logger: logging.Logger, level: int, message: str) -> None:
    """Logs a message. An application's filter may raise, but not into what goes on here."""
    thread = threading.get_ident()
    with suppress(Exception):
        try:
            _talkers.append(thread)
            logger.log(level, "%s", message)
        finally:
            _talkers.remove(thread)


def _before_fork() -> None:
    # Logging locks files such as standard error. A child that is made meanwhile would find them locked for ever.
    thread = threading.get_ident()
    deadline = time.monotonic() + FORK_PATIENCE_SECONDS
    while any(talker != thread for talker in tuple(_talkers)) and time.monotonic() < deadline:
        time.sleep(FORK_STEP_SECONDS)


def _after_fork_in_child() -> None:
    thread = threading.get_ident()
    _talkers[:] = [talker for talker in _talkers if talker == thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
