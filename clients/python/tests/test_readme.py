"""The examples of the README, run as they stand against the real services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import monlight
from services import KEY, Service, wait_for

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text()
EXAMPLES = dict(re.findall(r"\n## ([^\n]+)\n\n```python\n(.*?)```", README, re.DOTALL))

# What arrives: an error, a metric.
EXPECTED: dict[str, tuple[str | None, str | None]] = {
    "Report an error": ("no such order: 7", None),
    "Count and measure": (None, "orders_total"),
    "FastAPI and Starlette": ("fastapi has no order 7", "http_requests_total"),
    "Flask, and any WSGI application": ("flask has no order 7", "http_requests_total"),
    "Django": ("django has no order 7", "http_requests_total"),
    "What is logged as an error": ("payment of order 7 failed", None),
}


def test_all_examples_are_tested() -> None:
    assert set(EXAMPLES) == set(EXPECTED)
    assert README.count("```python") == len(EXAMPLES)


@pytest.mark.parametrize("title", EXPECTED)
def test_an_example_works(title: str, tracker: Service, collector: Service, tmp_path: Path) -> None:
    example = EXAMPLES[title].replace("your-key", KEY)
    for documented, real in (("http://localhost:5010", tracker.url), ("http://localhost:5012", collector.url)):
        example = example.replace(documented, real)
    file = tmp_path / "example.py"
    file.write_text(example)
    command = [sys.executable, str(HERE / "apps/visit.py"), str(file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(monlight.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

    message, metric = EXPECTED[title]
    if message:
        errors = wait_for("the report", lambda: tracker.get("/api/errors?project=shop")["errors"])
        assert [error["message"] for error in errors] == [message]
    if metric:
        names = wait_for("the values", lambda: collector.get("/api/metrics/names?project=shop"))
        assert metric in str(names)


def test_the_settings_are_all_of_them() -> None:
    import inspect

    table = README.split("## Settings")[1].split("##")[0]
    documented = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    clients = (monlight.ErrorClient, monlight.MetricsClient)
    real = {name for client in clients for name in inspect.signature(client).parameters}
    assert documented - {"argument"} == real


def test_the_examples_are_typed(tmp_path: Path) -> None:
    files = []
    for number, example in enumerate(EXAMPLES.values()):
        files.append(tmp_path / f"example_{number}.py")
        files[-1].write_text(example)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        f"--config-file={HERE.parent}/pyproject.toml",
        *map(str, files),
    ]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
