"""A restart of the services is nothing that anybody can see in the numbers."""

from __future__ import annotations

from pathlib import Path

from outage import restart_under_load


def test_a_restart_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcome = restart_under_load(tmp_path)
    # There was an outage.
    assert outcome.retries > 0
    assert (outcome.reports, outcome.increments, outcome.measurements) == (outcome.sent,) * 3
