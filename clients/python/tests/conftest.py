"""Servers for all tests, and which client is under test."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import monlight
from services import Recorder, Service


def pytest_report_header() -> str:
    return f"monlight {monlight.__version__} from {Path(monlight.__file__).parent}"


def pytest_sessionstart() -> None:
    wanted = os.environ.get("MONLIGHT_CLIENT_VERSION")
    assert wanted in (None, monlight.__version__), f"expected monlight {wanted}, got {monlight.__version__}"


def pytest_unconfigure() -> None:
    # Clients of servers that are gone by then have something to say; nobody wants to know.
    logging.disable()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Service]:
    service = Service("error-tracker", tmp_path)
    yield service
    service.kill()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Service]:
    service = Service("metrics-collector", tmp_path)
    yield service
    service.kill()
